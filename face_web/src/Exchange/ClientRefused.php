<?php

/**
 * An operator's wish about clients that cannot be granted; the message says which rule stands against it.
 */

declare(strict_types=1);

namespace FaceWeb\Exchange;

final class ClientRefused extends \RuntimeException
{
    public static function name(): self
    {
        return new self('A client needs a name of 1 to 80 characters, without control characters.');
    }

    public static function noAddress(): self
    {
        return new self('A client needs at least one return address, and at most ' . Clients::MAX_ADDRESSES . '.');
    }

    public static function address(string $address, string $rule): self
    {
        return new self("The return address '$address' is refused: $rule.");
    }

    public static function unknown(string $id): self
    {
        return new self("There is no client '$id'.");
    }
}
