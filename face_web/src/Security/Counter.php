<?php

/** Owns what the numbers of one counter mean: how long it locks, what is left of it later. Knows no database. */

declare(strict_types=1);

namespace FaceWeb\Security;

final class Counter
{
    /** NIST 800-63B: at most 5 failures in a row, then at least 30 s; each further one doubles, up to 15 minutes. */
    public const FREE_FAILURES = 5;
    public const FIRST_LOCK_S = 30;
    public const LONGEST_LOCK_S = 900;

    /**
     * @param int $hits   failures in a row, or events in the window
     * @param int $total  failures since the last success of an account's face; never forgotten by time
     * @param int $since  begin of the window
     * @param int $lastAt the last failure
     */
    public function __construct(
        public readonly Scope $scope,
        public readonly string $keyHash,
        public int $hits,
        public int $total,
        public int $since,
        public int $lastAt,
    ) {
    }

    /**
     * What is left at this time. A time in the future (the clock went back) becomes now: the lock begins again, whole,
     * and ends; nothing is granted and nothing is denied for ever.
     */
    public function settle(int $now): void
    {
        $this->since = min($this->since, $now);
        $this->lastAt = min($this->lastAt, $now);
        $window = $this->scope->windowS();
        $begin = $this->scope->isStreak() ? $this->lastAt : $this->since;
        if ($window !== null && $now - $begin >= $window) {
            $this->hits = 0;
            $this->since = $now;
        }
    }

    /** Seconds until an attempt is accepted; 0: now. */
    public function lockedS(int $now): int
    {
        if (!$this->scope->isStreak()) {
            $full = $this->hits >= $this->scope->limit();
            return $full ? max(1, $this->since + $this->scope->windowS() - $now) : 0;
        }
        return max(0, $this->lastAt + self::lockS($this->hits) - $now);
    }

    public function charge(int $now): void
    {
        if ($this->hits === 0) {
            $this->since = $now;
        }
        $this->hits++;
        $this->total++;
        $this->lastAt = $now;
    }

    /**
     * Takes back a charge of that time. The lock which it made ends with it, unless a later failure has made its own;
     * of a window that has begun since, nothing is taken.
     */
    public function uncharge(int $now, int $chargedAt): void
    {
        if (!$this->scope->isStreak() && $this->since > $chargedAt) {
            return;
        }
        $this->hits = max(0, $this->hits - 1);
        $this->total = max(0, $this->total - 1);
        if ($this->scope->isStreak() && $this->lastAt === $chargedAt) {
            $this->lastAt = $now - self::lockS($this->hits);
        }
    }

    private static function lockS(int $failures): int
    {
        $over = $failures - self::FREE_FAILURES;
        return $over < 0 ? 0 : (int) min(self::LONGEST_LOCK_S, self::FIRST_LOCK_S * 2 ** min($over, 10));
    }
}
