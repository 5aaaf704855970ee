<?php

/** The end of an audit log: how many lines it has, and the MAC of the last. */

declare(strict_types=1);

namespace FaceWeb\Audit;

final class AuditEnd
{
    public function __construct(public readonly int $count, public readonly string $mac)
    {
    }

    /** Of a log without lines. */
    public static function ofNothing(string $key): self
    {
        return new self(0, hash_hmac('sha256', 'face-login audit log, version 1', $key));
    }

    public static function fromJson(mixed $parts): ?self
    {
        $whole = is_array($parts) && is_int($parts['count'] ?? null) && is_string($parts['mac'] ?? null);
        return $whole ? new self($parts['count'], $parts['mac']) : null;
    }

    public function equals(self $other): bool
    {
        return $this->count === $other->count && hash_equals($this->mac, $other->mac);
    }
}
