<?php

/** [access] of config.ini: the files of the daemon's tokens. Only values; FaceServer\TokenFile reads them. */

declare(strict_types=1);

namespace FaceWeb;

final class AccessOptions
{
    public function __construct(
        public readonly string $webTokenFile,
        public readonly string $operatorTokenFile,
    ) {
    }
}
