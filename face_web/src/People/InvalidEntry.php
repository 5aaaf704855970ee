<?php

/** What somebody typed into a form cannot be taken; `field` and `reason` are keys for the page's own words. */

declare(strict_types=1);

namespace FaceWeb\People;

use RuntimeException;

final class InvalidEntry extends RuntimeException
{
    private function __construct(public readonly string $field, public readonly string $reason)
    {
        parent::__construct("$field: $reason");
    }

    public static function email(): self
    {
        return new self('email', 'invalid');
    }

    /** @param string $reason 'empty' | 'too_long' | 'invalid' */
    public static function name(string $reason): self
    {
        return new self('name', $reason);
    }
}
