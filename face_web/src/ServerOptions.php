<?php

/** What the site needs of [server] of config.ini: where the daemon listens and what it takes. Paths are absolute. */

declare(strict_types=1);

namespace FaceWeb;

final class ServerOptions
{
    /** @param string|null $unixSocket the daemon listens there instead of on TCP */
    public function __construct(
        public readonly string $host,
        public readonly int $port,
        public readonly ?string $unixSocket,
        public readonly int $maxImages,
        public readonly int $maxImageBytes,
        public readonly int $maxFrameBytes,
    ) {
    }
}
