<?php

/**
 * Who is logged in, since when, by what, and for how much longer. Both limits are enforced here, whatever the cookie or
 * PHP's own clean-up do. Knows no database: whether the person may still log in is asked by whoever reads userId().
 */

declare(strict_types=1);

namespace FaceWeb;

use FaceWeb\Http\SessionStore;
use FaceWeb\People\Person;
use FaceWeb\Security\Clock;

final class Session
{
    private const OWN = ['begun_at', 'seen_at', 'login'];

    public function __construct(
        private readonly SessionStore $store,
        private readonly Clock $clock,
        private readonly int $idleS,
        private readonly int $absoluteS,
    ) {
    }

    /** Ends a session that is over its limits and notes that it was used. Once per request, before anything is read. */
    public function touch(): void
    {
        $now = $this->clock->now();
        $begun = $this->store->read('begun_at');
        $seen = $this->store->read('seen_at');
        if (!is_int($begun) || !is_int($seen) || $now - $seen >= $this->idleS || $now - $begun >= $this->absoluteS) {
            $this->end();
        }
        $this->store->write('seen_at', $now);
    }

    /** What nonces and budgets are bound to. Not the id itself, which must not lie in a database. */
    public function key(): string
    {
        return hash('sha256', 'face_web session ' . $this->store->id());
    }

    public function get(string $key): mixed
    {
        return $this->store->read($key);
    }

    public function set(string $key, mixed $value): void
    {
        in_array($key, self::OWN, true) && throw new \LogicException("$key is the session's own");
        $this->store->write($key, $value);
    }

    public function remove(string $key): void
    {
        $this->store->delete($key);
    }

    /** The value, once: it is gone afterwards. */
    public function take(string $key): mixed
    {
        $value = $this->store->read($key);
        if ($value !== null) {
            $this->store->delete($key);
        }
        return $value;
    }

    /**
     * A new id, and a new begin: the absolute limit counts from the login.
     *
     * @param list<string> $amr 'face', 'pwd' (RFC 8176)
     */
    public function logIn(Person $person, array $amr): void
    {
        $now = $this->clock->now();
        $this->store->regenerate();
        $this->store->delete('csrf');
        $this->store->write('begun_at', $now);
        $this->store->write('seen_at', $now);
        $this->store->write('login', [
            'user_id' => $person->id,
            'amr' => $amr,
            'auth_time' => $now,
            'password_at' => in_array('pwd', $amr, true) ? $now : null,
            'sessions_from' => $person->sessionsFrom,
        ]);
    }

    public function end(): void
    {
        $this->store->clear();
        $now = $this->clock->now();
        $this->store->write('begun_at', $now);
        $this->store->write('seen_at', $now);
    }

    public function userId(): ?int
    {
        return $this->current()['user_id'] ?? null;
    }

    /** Is it this person's, and were the person's sessions not ended since (by a changed password, by an admin)? */
    public function belongsTo(Person $person): bool
    {
        $login = $this->current();
        return $login !== null && $login['user_id'] === $person->id
            && $login['sessions_from'] === $person->sessionsFrom;
    }

    public function authTime(): int
    {
        return $this->current()['auth_time'] ?? 0;
    }

    /** @return list<string> */
    public function amr(): array
    {
        return $this->current()['amr'] ?? [];
    }

    /** The person has just given the password: what a camera saw is not enough to change an account. */
    public function confirm(Person $person): void
    {
        $login = $this->current() ?? throw new \LogicException('nobody is logged in');
        $this->store->regenerate();
        $this->store->write('login', [
            ...$login,
            'password_at' => $this->clock->now(),
            'sessions_from' => $person->sessionsFrom,
        ]);
    }

    public function confirmed(): bool
    {
        return ($this->current()['password_at'] ?? null) !== null;
    }

    public function fresh(int $seconds): bool
    {
        $at = $this->current()['password_at'] ?? null;
        return $at !== null && $this->clock->now() - $at < $seconds;
    }

    public function release(): void
    {
        $this->store->release();
    }

    /** @return array{user_id: int, amr: list<string>, auth_time: int, password_at: ?int, sessions_from: int}|null */
    private function current(): ?array
    {
        $login = $this->store->read('login');
        return is_array($login) ? $login : null;
    }
}
