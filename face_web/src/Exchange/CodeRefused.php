<?php

/**
 * A code that opens nothing. The site hears one answer (`invalid_grant`) for every reason; the reason is for the audit.
 */

declare(strict_types=1);

namespace FaceWeb\Exchange;

final class CodeRefused extends \RuntimeException
{
    private function __construct(public readonly string $reason, public readonly ?int $userId = null)
    {
        parent::__construct('The code is unknown, used, expired, or was not given for this client and return address.');
    }

    /** Never given, given to another client, or forgotten since. */
    public static function unknown(): self
    {
        return new self('unknown');
    }

    /** Somebody has seen a code that is not his, or a site asks twice. */
    public static function used(int $userId): self
    {
        return new self('used', $userId);
    }

    public static function expired(int $userId): self
    {
        return new self('expired', $userId);
    }

    public static function returnAddress(int $userId): self
    {
        return new self('return_address', $userId);
    }

    public static function person(int $userId): self
    {
        return new self('person_not_active', $userId);
    }

    public static function amr(): self
    {
        return new self('no_authentication');
    }
}
