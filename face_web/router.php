<?php

/**
 * For `php -S` only: static files below public/ with the site's headers, everything else to index.php. A web server in
 * front does the first by itself. Never returns false, which would have `php -S` send whatever lies below public/.
 */

declare(strict_types=1);

use FaceWeb\Http\SecurityHeaders;
use FaceWeb\Http\StaticFiles;

require __DIR__ . '/src/autoload.php';

$file = (new StaticFiles(__DIR__ . '/public'))->answer(
    (string) ($_SERVER['REQUEST_METHOD'] ?? ''),
    (string) ($_SERVER['REQUEST_URI'] ?? ''),
    (string) ($_SERVER['HTTP_IF_NONE_MATCH'] ?? ''),
);
if ($file === null) {
    require __DIR__ . '/public/index.php';
} else {
    header_remove('X-Powered-By');
    SecurityHeaders::plain()->on($file)->send();
}
