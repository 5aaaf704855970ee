<?php

/**
 * Owns the memory of subjects whose rows are gone. The daemon was told to forget each before its row went; but a
 * request may still have been enrolling under it, and if that one is killed before it can take its templates back,
 * nothing else tells of them. So each is kept until no request can be at it any more, and then removed once again.
 */

declare(strict_types=1);

namespace FaceWeb\People;

use FaceWeb\Database;
use FaceWeb\Security\Clock;

final class GoneFaces
{
    public function __construct(private readonly Database $database, private readonly Clock $clock)
    {
    }

    /** In the transaction that takes the row away. */
    public function add(string $subject): void
    {
        $this->database->insertNew('gone_face', ['subject' => $subject, 'gone_at' => $this->clock->now()]);
    }

    /** @return list<string> subjects that have been gone for so long, or since a later time than now is */
    public function olderThan(int $seconds): array
    {
        $now = $this->clock->now();
        $sql = 'SELECT subject FROM gone_face WHERE gone_at <= ? OR gone_at > ? ORDER BY gone_at, subject';
        return array_map('strval', array_column($this->database->rows($sql, [$now - $seconds, $now]), 'subject'));
    }

    /** The daemon has nothing of it, and nobody can give it anything any more. */
    public function forget(string $subject): void
    {
        $this->database->execute('DELETE FROM gone_face WHERE subject = ?', [$subject]);
    }
}
