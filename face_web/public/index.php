<?php

/**
 * The one entry of the site: every address that is no static file comes here.
 */

declare(strict_types=1);

require __DIR__ . '/../src/autoload.php';

FaceWeb\App::main();
