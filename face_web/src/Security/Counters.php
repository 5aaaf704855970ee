<?php

/**
 * Owns the table `throttle`: one row for each counter that is not at zero, its key hashed. Knows no rules of its own.
 * All calls that change rows stand under the throttle's lock.
 */

declare(strict_types=1);

namespace FaceWeb\Security;

use FaceWeb\Database;

final class Counters
{
    /** Longer than any window or quiet time. */
    private const KEEP_S = 86400;

    public function __construct(private readonly Database $database)
    {
    }

    public function find(Scope $scope, string $key, int $now): Counter
    {
        $hash = hash('sha256', $key);
        $row = $this->database->row(
            'SELECT hits, total, since, last_at FROM throttle WHERE scope = ? AND key_hash = ?',
            [$scope->value, $hash]
        ) ?? ['hits' => 0, 'total' => 0, 'since' => $now, 'last_at' => $now];
        $counter = new Counter($scope, $hash, ...array_map('intval', array_values($row)));
        $counter->settle($now);
        return $counter;
    }

    /**
     * The longest of the locks.
     *
     * @param list<array{Scope, string}> $counters
     */
    public function lockedS(array $counters, int $now): int
    {
        $waits = array_map(fn (array $counter) => $this->find(...$counter, now: $now)->lockedS($now), $counters);
        return max([0, ...$waits]);
    }

    /** @param list<array{Scope, string}> $counters */
    public function charge(array $counters, int $now): void
    {
        foreach ($counters as [$scope, $key]) {
            $counter = $this->find($scope, $key, $now);
            $counter->charge($now);
            $this->save($counter);
        }
    }

    public function uncharge(Charges $charges, int $now): void
    {
        foreach ($charges->counters as [$scope, $key]) {
            $counter = $this->find($scope, $key, $now);
            $counter->uncharge($now, $charges->at);
            $this->save($counter);
        }
    }

    public function remove(Scope $scope, string $key): void
    {
        $this->database->execute(
            'DELETE FROM throttle WHERE scope = ? AND key_hash = ?',
            [$scope->value, hash('sha256', $key)]
        );
    }

    /**
     * Removes what is forgotten anyway; accounts' face counters stay, there are no more of them than accounts. Rows
     * from the future (the clock went back) become rows of now: their locks begin again, whole, and end.
     */
    public function purge(int $now): void
    {
        $this->database->execute(
            'UPDATE throttle SET since = CASE WHEN since > ? THEN ? ELSE since END, last_at = ? WHERE last_at > ?',
            [$now, $now, $now, $now]
        );
        $this->database->execute(
            'DELETE FROM throttle WHERE last_at < ? AND scope <> ?',
            [$now - self::KEEP_S, Scope::FaceAccount->value]
        );
        $this->database->execute(
            'DELETE FROM throttle WHERE last_at < ? AND scope = ?',
            [$now - 60, Scope::DetectSession->value]
        );
    }

    private function save(Counter $counter): void
    {
        $numbers = [$counter->hits, $counter->total, $counter->since, $counter->lastAt];
        $key = [$counter->scope->value, $counter->keyHash];
        $changed = $this->database->execute(
            'UPDATE throttle SET hits = ?, total = ?, since = ?, last_at = ? WHERE scope = ? AND key_hash = ?',
            [...$numbers, ...$key]
        );
        if ($changed === 0) {
            $this->database->execute(
                'INSERT INTO throttle (hits, total, since, last_at, scope, key_hash) VALUES (?, ?, ?, ?, ?, ?)',
                [...$numbers, ...$key]
            );
        }
    }
}
