<?php

/** What the tests load: the site's classes, and FaceWeb\Tests\A from tests/A.php. */

declare(strict_types=1);

require __DIR__ . '/../src/autoload.php';

spl_autoload_register(static function (string $class): void {
    $file = __DIR__ . '/' . strtr(substr($class, strlen('FaceWeb\\Tests\\')), '\\', '/') . '.php';
    if (str_starts_with($class, 'FaceWeb\\Tests\\') && is_file($file)) {
        require $file;
    }
});
