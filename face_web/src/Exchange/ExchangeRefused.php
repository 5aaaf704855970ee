<?php

/**
 * An exchange that is refused, under the names of OAuth 2.0 (RFC 6749, 5.2).
 */

declare(strict_types=1);

namespace FaceWeb\Exchange;

final class ExchangeRefused extends \RuntimeException
{
    private function __construct(
        public readonly string $error,
        public readonly int $status,
        string $description,
        public readonly ?int $retryAfterS = null,
    ) {
        parent::__construct($description);
    }

    public static function request(string $description): self
    {
        return new self('invalid_request', 400, $description);
    }

    public static function grantType(): self
    {
        return new self('unsupported_grant_type', 400, 'The only grant_type is authorization_code.');
    }

    public static function client(): self
    {
        return new self('invalid_client', 401, 'The client is unknown or its secret is wrong.');
    }

    /** 429 is RFC 6585's; OAuth has no name of its own for it at this endpoint. */
    public static function throttled(int $retryAfterS): self
    {
        $description = 'Too many wrong secrets from this address. A right one is answered all the same.';
        return new self('invalid_client', 429, $description, $retryAfterS);
    }

    public static function grant(CodeRefused $refused): self
    {
        return new self('invalid_grant', 400, $refused->getMessage());
    }
}
