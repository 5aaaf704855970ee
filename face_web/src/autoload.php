<?php

/** Loads FaceWeb\A\B from src/A/B.php, and what `error_log` means there. Knows nothing else. */

declare(strict_types=1);

spl_autoload_register(static function (string $class): void {
    $file = __DIR__ . '/' . strtr(substr($class, strlen('FaceWeb\\')), '\\', '/') . '.php';
    if (str_starts_with($class, 'FaceWeb\\') && is_file($file)) {
        require $file;
    }
});

require_once __DIR__ . '/error_log.php';
