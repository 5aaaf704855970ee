<?php

/**
 * The name under which a site knows a person: HMAC-SHA256 of client and user under a key that only this database has.
 *
 * Not the gallery's subject id: that one is a biometric reference, it changes when a face is removed and enrolled
 * again, and two sites could join their users by it. This one differs from site to site, stays when the face changes
 * and exists for people without a face. The time of registration goes in too, so that even a user id that a database
 * gives twice is not taken for the same person. The key lives in the database (not in a file), so that a restored
 * backup of the users brings the same subjects along: a site would otherwise lose all its people.
 */

declare(strict_types=1);

namespace FaceWeb\Exchange;

use FaceWeb\Database;

final class PairwiseSubjects
{
    private const SETTING = 'pairwise_key';
    private ?string $key = null;

    public function __construct(private readonly Database $database)
    {
    }

    public function of(string $clientId, int $userId, int $registeredAt): string
    {
        return hash_hmac('sha256', "pairwise\0$clientId\0$userId\0$registeredAt", $this->key());
    }

    private function key(): string
    {
        return $this->key ??= $this->stored() ?? $this->made();
    }

    private function stored(): ?string
    {
        $row = $this->database->row('SELECT value FROM setting WHERE name = ?', [self::SETTING]);
        $key = $row === null ? '' : (string) @hex2bin((string) $row['value']);
        if ($row !== null && strlen($key) !== 32) {
            throw new \UnexpectedValueException('Setting ' . self::SETTING . ' is damaged: restore it from a backup.');
        }
        return $row === null ? null : $key;
    }

    /** Of two processes that make the first key at once, the second inserts nothing and reads the first one's. */
    private function made(): string
    {
        $this->database->insertNew('setting', ['name' => self::SETTING, 'value' => bin2hex(random_bytes(32))]);
        return $this->stored() ?? throw new \UnexpectedValueException('Setting ' . self::SETTING . ' was not kept.');
    }
}
