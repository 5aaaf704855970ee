<?php

/**
 * Owns the capture nonces: 128 random bits, for one session and one purpose, good once and for 60 seconds.
 * The database has only hashes of nonce and session, so that reading it gives neither.
 * A nonce from the future (the clock went back) is refused like an old one.
 */

declare(strict_types=1);

namespace FaceWeb\Security;

use FaceWeb\Database;

final class Nonces
{
    public const LIFE_S = 60;

    public function __construct(private readonly Database $database, private readonly Clock $clock)
    {
    }

    /** @param string $purpose 'login' | 'register' | 'captures' | 'confirm' */
    public function issue(string $sessionId, string $purpose): string
    {
        $nonce = bin2hex(random_bytes(16));
        $now = $this->clock->now();
        $this->database->transaction(function () use ($nonce, $sessionId, $purpose, $now): void {
            $this->database->execute('DELETE FROM login_nonce WHERE expires_at <= ?', [$now]);
            $this->database->execute(
                'INSERT INTO login_nonce (nonce_hash, session_hash, purpose, expires_at) VALUES (?, ?, ?, ?)',
                [self::hash($nonce), self::hash($sessionId), $purpose, $now + self::LIFE_S]
            );
        });
        return $nonce;
    }

    /** True for one of any number of requests at the same time: the DELETE is the check. */
    public function consume(string $nonce, string $sessionId, string $purpose): bool
    {
        $now = $this->clock->now();
        return $this->database->transaction(fn (): int => $this->database->execute(
            'DELETE FROM login_nonce WHERE nonce_hash = ? AND session_hash = ? AND purpose = ?
             AND expires_at > ? AND expires_at <= ?',
            [self::hash($nonce), self::hash($sessionId), $purpose, $now, $now + self::LIFE_S]
        )) === 1;
    }

    private static function hash(string $text): string
    {
        return hash('sha256', $text);
    }
}
