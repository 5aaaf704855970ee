<?php

/**
 * Owns the counters against guessing. In the database, so that they survive restarts and count for all processes.
 *
 * begin() charges a failure before the attempt is made, under one lock; a success or a refusal for quality takes it
 * back. However many requests come at the same time, no more get in than there are failures left.
 *
 * Nobody can lock a person out for good: the face path and the password path do not share counters, and a password is
 * locked only for the pair of account and source, or the source; over all sources an account is only slowed.
 *
 * A success ends the streak of the account and of the pair. The streak of the source it ends only once in twelve hours
 * for the same account: else an attacker would log into an account of his own after every fourth guess. At other times
 * it takes back its own charge alone. An office behind one address is cleared by each of its people in turn.
 *
 * Known limits: the source is as good as `trusted_proxies` says and an attacker with many addresses has many sources
 * (the account's own counter and the brake remain); who shares an address with an attacker may have to wait there,
 * 15 minutes at most at a time.
 */

declare(strict_types=1);

namespace FaceWeb\Security;

use FaceWeb\Database;
use LogicException;
use WeakMap;

final class Throttle
{
    /** NIST 800-63B, face without proof of a living person: 50 failures without a success, then another way in. */
    public const FACE_OFF_FAILURES = 50;

    public const MAX_DELAY_MS = 2000;

    /** Failures of the site a minute from which it slows: one every two seconds is more than people mistype. */
    private const BRAKE_FROM = 30;
    private const BRAKE_MS_PER_FAILURE = 20;

    /** Failures of a password within the hour from all sources from which its answers slow. */
    private const SLOW_FROM = 10;
    private const SLOW_MS_PER_FAILURE = 100;

    /** @var WeakMap<Attempt, Charges> what was begun and has not ended */
    private WeakMap $open;

    private readonly Counters $counters;

    public function __construct(private readonly Database $database, private readonly Clock $clock)
    {
        $this->open = new WeakMap();
        $this->counters = new Counters($database);
    }

    /**
     * May the attempt be made? If it may, exactly one of succeeded(), failed(), refunded() follows. If not, and the
     * refusal may not be told (retryAfterS 0), the same work follows, and then failed() or refunded().
     */
    public function begin(Attempt $attempt): Verdict
    {
        if (isset($this->open[$attempt])) {
            throw new LogicException('this attempt has begun already');
        }
        [$verdict, $charges] = $this->locked(fn (): array => $this->admit($attempt, $this->clock->now()));
        if ($charges !== null) { // only now: the work above may have been run more than once
            $this->open[$attempt] = $charges;
        }
        return $verdict;
    }

    /** @param int|null $accountId whom a face without a claim (1:N) turned out to be */
    public function succeeded(Attempt $attempt, ?int $accountId = null): void
    {
        $account = $attempt->account ?? ($accountId === null ? null : (string) $accountId);
        $charges = $this->end($attempt, true);
        $this->locked(function () use ($attempt, $account, $charges): void {
            if ($attempt->kind === AttemptKind::Registration) {
                return; // making accounts is limited too, so the charge stays
            }
            $this->counters->uncharge($charges, $this->clock->now());
            if ($account !== null) {
                $this->clearAccount($attempt, $account);
                $this->forgiveSource($attempt, $account);
            }
        });
    }

    /** The charge stays. */
    public function failed(Attempt $attempt): void
    {
        $this->end($attempt, false);
    }

    /** The pictures were not good enough to decide: no failure, but there is a limit to that as well. */
    public function refunded(Attempt $attempt): void
    {
        $charges = $this->end($attempt, false);
        $this->locked(function () use ($attempt, $charges): void {
            $this->counters->uncharge($charges, $this->clock->now());
            $this->counters->charge([[Scope::Quality, $attempt->source]], $this->clock->now());
        });
    }

    /** A face that was counted as a failure at that time is a success after all, now that the password came too. */
    public function borneOut(string $source, int $accountId, int $at): void
    {
        $attempt = Attempt::face($source, $accountId);
        $charged = array_filter(self::counted($attempt), static fn (array $one): bool =>
            $one[0] !== Scope::FaceAccount);
        $this->locked(function () use ($attempt, $accountId, $charged, $at): void {
            $this->counters->uncharge(new Charges(array_values($charged), $at, true), $this->clock->now());
            $this->clearAccount($attempt, (string) $accountId);
            $this->forgiveSource($attempt, (string) $accountId);
        });
    }

    public function isFaceOff(int $accountId): bool
    {
        return $this->find(Scope::FaceAccount, (string) $accountId)->total >= self::FACE_OFF_FAILURES;
    }

    /** After a password login, by an administrator, or when the account is deleted. */
    public function faceOn(int $accountId): void
    {
        $this->locked(fn () => $this->counters->remove(Scope::FaceAccount, (string) $accountId));
    }

    /**
     * As faceOn(), where a lock stands in the way, but once in twelve hours: for the right password of somebody who
     * needs a face as well, and whom others' wrong faces would else keep out for good. Not oftener, since whoever has
     * the password alone would be free to try faces.
     */
    public function faceForgiven(int $accountId): void
    {
        $this->locked(function () use ($accountId): void {
            $now = $this->clock->now();
            $counter = $this->find(Scope::FaceAccount, (string) $accountId);
            $mark = [Scope::Forgiven, Scope::FaceAccount->value . "\n$accountId"];
            $stands = $counter->total >= self::FACE_OFF_FAILURES || $counter->lockedS($now) > 0;
            if ($stands && $this->find(...$mark)->lockedS($now) === 0) {
                $this->counters->remove(Scope::FaceAccount, (string) $accountId);
                $this->counters->charge([$mark], $now);
            }
        });
    }

    /** How long every answer waits just now: grows with the failures over all in the running minute; never denies. */
    public function globalDelayMs(): int
    {
        $failures = $this->find(Scope::Everywhere, '')->hits;
        return self::delay($failures - self::BRAKE_FROM, self::BRAKE_MS_PER_FAILURE);
    }

    /** A place in the budget of the daemon's rough face finding. */
    public function allowDetect(string $sessionId, string $source): bool
    {
        return $this->database->transaction(function () use ($sessionId, $source): bool {
            $this->database->lock('lock_detect');
            $now = $this->clock->now();
            $this->counters->purge($now);
            $places = [[Scope::DetectSession, $sessionId], [Scope::DetectSource, $source], [Scope::DetectAll, '']];
            $free = $this->counters->lockedS($places, $now) === 0;
            if ($free) {
                $this->counters->charge($places, $now);
            }
            return $free;
        });
    }

    /**
     * Seconds until this source may have a challenge; 0: now, and it is charged until challengeDone(). Whoever may try
     * no face just now gets none: nobody does steps to be told to wait.
     */
    public function awaitChallenge(string $source): int
    {
        return $this->locked(function () use ($source): int {
            $now = $this->clock->now();
            $this->counters->purge($now);
            $place = [[Scope::Challenge, $source]];
            $face = [[Scope::FaceSource, $source], ...self::limits(Attempt::face($source, null))];
            $wait = $this->counters->lockedS([...$place, ...$face], $now);
            if ($wait === 0) {
                $this->counters->charge($place, $now);
            }
            return $wait;
        });
    }

    /** A challenge of that time was judged, which is counted elsewhere, or not had after all. */
    public function challengeDone(string $source, int $at): void
    {
        $charges = new Charges([[Scope::Challenge, $source]], $at, true);
        $this->locked(fn () => $this->counters->uncharge($charges, $this->clock->now()));
    }

    /** @return array{Verdict, ?Charges} */
    private function admit(Attempt $attempt, int $now): array
    {
        $this->counters->purge($now);
        $counted = self::counted($attempt);
        $delayMs = $this->delayMs($attempt);
        $told = array_values(array_filter($counted, fn (array $counter) => $counter[0]->isTold()));
        $wait = $this->counters->lockedS([...$told, ...self::limits($attempt)], $now);
        if ($wait > 0) {
            return [new Verdict(false, $wait, delayMs: $delayMs), null];
        }
        $faceOff = $attempt->kind === AttemptKind::Face && $attempt->account !== null
            && $this->isFaceOff((int) $attempt->account);
        $allowed = !$faceOff && $this->counters->lockedS($counted, $now) === 0;
        // The source pays for a locked account too: to it, that one looks like any other.
        $charged = $allowed ? $counted : $told;
        $this->counters->charge($charged, $now);
        return [new Verdict($allowed, 0, $faceOff, $delayMs), new Charges($charged, $now, $allowed)];
    }

    /** @return list<array{Scope, string}> what a failure of this attempt counts against */
    private static function counted(Attempt $attempt): array
    {
        $account = $attempt->account;
        $pair = $attempt->source . "\n" . $account;
        $ofAccount = $account === null ? [] : match ($attempt->kind) {
            AttemptKind::Face => [[Scope::FaceAccount, $account]],
            AttemptKind::Password => [[Scope::PasswordPair, $pair], [Scope::PasswordAccount, $account]],
            AttemptKind::Exchange => [[Scope::ExchangePair, $pair]],
            AttemptKind::Registration => [],
        };
        return match ($attempt->kind) {
            AttemptKind::Face => [[Scope::FaceSource, $attempt->source], ...$ofAccount, [Scope::Everywhere, '']],
            AttemptKind::Password => [[Scope::PasswordSource, $attempt->source], ...$ofAccount,
                [Scope::Everywhere, '']],
            AttemptKind::Exchange => [[Scope::ExchangeSource, $attempt->source], ...$ofAccount,
                [Scope::Everywhere, '']],
            AttemptKind::Registration => [[Scope::Registration, $attempt->source]],
        };
    }

    /** @return list<array{Scope, string}> what else may be full */
    private static function limits(Attempt $attempt): array
    {
        $hasPictures = in_array($attempt->kind, [AttemptKind::Face, AttemptKind::Registration], true);
        return $hasPictures ? [[Scope::Quality, $attempt->source]] : [];
    }

    private function delayMs(Attempt $attempt): int
    {
        $own = $attempt->kind !== AttemptKind::Password ? 0 : self::delay(
            $this->find(Scope::PasswordAccount, (string) $attempt->account)->hits - self::SLOW_FROM,
            self::SLOW_MS_PER_FAILURE
        );
        return max($own, $this->globalDelayMs());
    }

    private static function delay(int $over, int $perFailureMs): int
    {
        return max(0, min(self::MAX_DELAY_MS, $over * $perFailureMs));
    }

    private function clearAccount(Attempt $attempt, string $account): void
    {
        $pair = $attempt->source . "\n" . $account;
        match ($attempt->kind) {
            AttemptKind::Face => $this->counters->remove(Scope::FaceAccount, $account),
            AttemptKind::Password => [$this->counters->remove(Scope::PasswordPair, $pair),
                $this->counters->remove(Scope::PasswordAccount, $account)],
            AttemptKind::Exchange => $this->counters->remove(Scope::ExchangePair, $pair),
            AttemptKind::Registration => null,
        };
    }

    private function forgiveSource(Attempt $attempt, string $account): void
    {
        [$scope, $source] = self::counted($attempt)[0];
        $mark = [Scope::Forgiven, "{$scope->value}\n$source\n$account"];
        $now = $this->clock->now();
        if ($this->find($scope, $source)->hits > 0 && $this->find(...$mark)->lockedS($now) === 0) {
            $this->counters->remove($scope, $source);
            $this->counters->charge([$mark], $now);
        }
    }

    private function end(Attempt $attempt, bool $asSuccess): Charges
    {
        $charges = $this->open[$attempt] ?? throw new LogicException('this attempt was not begun, or has ended');
        if ($asSuccess && !$charges->allowed) {
            throw new LogicException('an attempt that was not allowed cannot succeed');
        }
        unset($this->open[$attempt]);
        return $charges;
    }

    private function find(Scope $scope, string $key): Counter
    {
        return $this->counters->find($scope, $key, $this->clock->now());
    }

    /**
     * One lock for all counters: the row of the whole site is in every attempt anyway, and so nobody waits crosswise.
     *
     * @template T
     * @param callable(): T $work
     * @return T
     */
    private function locked(callable $work): mixed
    {
        return $this->database->transaction(function () use ($work): mixed {
            $this->database->lock('lock_throttle');
            return $work();
        });
    }
}
