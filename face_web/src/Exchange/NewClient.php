<?php

/**
 * A client just registered, or given a new secret: the only moment at which the secret can be read.
 */

declare(strict_types=1);

namespace FaceWeb\Exchange;

final class NewClient
{
    public function __construct(
        public readonly string $id,
        #[\SensitiveParameter] public readonly string $secret,
    ) {
    }
}
