<?php

/** Owns the invitations: who holds a code may register once. The database keeps only a hash of each code. */

declare(strict_types=1);

namespace FaceWeb\People;

use FaceWeb\Database;
use FaceWeb\Security\Clock;

final class Invites
{
    public function __construct(private readonly Database $database, private readonly Clock $clock)
    {
    }

    /** @param int|null $createdBy null: the console */
    public function create(?int $createdBy, int $ttlS): string
    {
        $code = bin2hex(random_bytes(16));
        $now = $this->clock->now();
        $this->database->execute('DELETE FROM invite WHERE expires_at <= ?', [$now]);
        $this->database->execute(
            'INSERT INTO invite (code_hash, created_by, created_at, expires_at) VALUES (?, ?, ?, ?)',
            [self::hash($code), $createdBy, $now, $now + $ttlS]
        );
        return $code;
    }

    /** Whether use() would take it now; for the form, before the work of a registration. */
    public function isUsable(string $code): bool
    {
        return $this->database->row(
            'SELECT 1 FROM invite WHERE code_hash = ? AND used_at IS NULL AND expires_at > ?',
            [self::hash($code), $this->clock->now()]
        ) !== null;
    }

    /** Takes it, once: of any number of requests at the same time one gets true. */
    public function use(string $code): bool
    {
        $now = $this->clock->now();
        return $this->database->execute(
            'UPDATE invite SET used_at = ? WHERE code_hash = ? AND used_at IS NULL AND expires_at > ?',
            [$now, self::hash($code), $now]
        ) === 1;
    }

    private static function hash(string $code): string
    {
        return hash('sha256', strtolower(trim($code)));
    }
}
