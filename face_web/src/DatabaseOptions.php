<?php

/** [database] of config.ini: where the users are kept. Only values. Paths are absolute. */

declare(strict_types=1);

namespace FaceWeb;

final class DatabaseOptions
{
    /**
     * @param string $driver sqlite or mysql
     * @param string $path file of sqlite; the rest is of mysql
     * @param string|null $passwordFile null for no password
     */
    public function __construct(
        public readonly string $driver,
        public readonly string $path,
        public readonly string $host,
        public readonly int $port,
        public readonly string $name,
        public readonly string $user,
        public readonly ?string $passwordFile,
    ) {
    }
}
