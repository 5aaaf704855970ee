<?php

/** One attempt to get in, as the throttle sees it: what kind, from where, at which account. Good for one begin(). */

declare(strict_types=1);

namespace FaceWeb\Security;

final class Attempt
{
    private function __construct(
        public readonly AttemptKind $kind,
        public readonly string $source,
        public readonly ?string $account,
    ) {
    }

    /** @param int|null $accountId null: nobody is claimed (1:N), or the claimed email is unknown */
    public static function face(string $source, ?int $accountId = null): self
    {
        return new self(AttemptKind::Face, $source, $accountId === null ? null : (string) $accountId);
    }

    /** @param string|null $accountKey the email that was typed, cleaned, whether it is known or not */
    public static function password(string $source, ?string $accountKey = null): self
    {
        return new self(AttemptKind::Password, $source, $accountKey);
    }

    public static function registration(string $source): self
    {
        return new self(AttemptKind::Registration, $source, null);
    }

    /** A site that exchanges a code, with the client id it gave. */
    public static function exchange(string $source, ?string $client = null): self
    {
        return new self(AttemptKind::Exchange, $source, $client);
    }
}
