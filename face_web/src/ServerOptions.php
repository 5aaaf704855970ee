<?php

/** What the site needs of [server] of config.ini: where the daemon listens and what it takes. Paths are absolute. */

declare(strict_types=1);

namespace FaceWeb;

final class ServerOptions
{
    /**
     * @param string|null $unixSocket the daemon listens there instead of on TCP
     * @param string|null $tlsCa what alone is trusted; null: what the system trusts
     * @param string $tlsName the name in the daemon's certificate, '' for the host
     */
    public function __construct(
        public readonly string $host,
        public readonly int $port,
        public readonly ?string $unixSocket,
        public readonly ?string $tlsCert,
        public readonly ?string $tlsCa,
        public readonly string $tlsName,
        public readonly int $maxImages,
        public readonly int $maxImageBytes,
        public readonly int $maxFrameBytes,
    ) {
    }

    /** Whether TLS is spoken with the daemon: always with another machine, else where the options say so. */
    public function usesTls(): bool
    {
        return $this->unixSocket === null
            && ($this->tlsCert !== null || $this->tlsCa !== null || !Loopback::holds($this->host));
    }
}
