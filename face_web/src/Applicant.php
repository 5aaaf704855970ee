<?php

/**
 * What somebody typed to register, checked. The password is here as its hash only.
 */

declare(strict_types=1);

namespace FaceWeb;

final class Applicant
{
    public function __construct(
        public readonly string $name,
        public readonly string $email,
        #[\SensitiveParameter] public readonly string $passwordHash,
        public readonly string $consentVersion,
        #[\SensitiveParameter] public readonly ?string $invite = null,
    ) {
    }
}
