<?php

/**
 * Owns how passwords become hashes. ARGON2ID with the parameters OWASP recommends (19 MiB, 2 passes, 1 lane); where
 * PHP was built without it, bcrypt over base64(SHA-384): bcrypt alone would ignore everything after byte 72 and stop
 * at a NUL. A person without a hash costs the same work as one with: a hash that no password has is checked instead.
 */

declare(strict_types=1);

namespace FaceWeb\Security;

use InvalidArgumentException;
use Normalizer;

final class Passwords
{
    public const MIN_CHARACTERS = 10;
    public const MAX_CHARACTERS = 128;

    private const ARGON2ID = ['memory_cost' => 19456, 'time_cost' => 2, 'threads' => 1];
    private const BCRYPT = ['cost' => 12];

    private readonly bool $argon2id;

    /** @param bool|null $argon2id null: if this PHP has it */
    public function __construct(?bool $argon2id = null)
    {
        $this->argon2id = $argon2id ?? defined('PASSWORD_ARGON2ID');
    }

    /** Why it cannot be taken: 'too_short', 'too_long', 'invalid'; null if it can. */
    public function objection(string $password): ?string
    {
        $length = mb_strlen(self::composed($password), 'UTF-8');
        return match (true) {
            !mb_check_encoding($password, 'UTF-8') => 'invalid',
            $length < self::MIN_CHARACTERS => 'too_short',
            $length > self::MAX_CHARACTERS => 'too_long',
            default => null,
        };
    }

    public function hash(string $password): string
    {
        if (($objection = $this->objection($password)) !== null) {
            throw new InvalidArgumentException("the password cannot be taken: $objection");
        }
        return $this->argon2id
            ? password_hash(self::composed($password), PASSWORD_ARGON2ID, self::ARGON2ID)
            : password_hash(self::condensed($password), PASSWORD_BCRYPT, self::BCRYPT);
    }

    /** @param string|null $hash null or empty: nobody; as much work as for somebody, and false */
    public function verify(?string $hash, string $password): bool
    {
        $known = $hash !== null && $hash !== '';
        $fits = $this->objection($password) === null || strlen($password) <= self::MAX_CHARACTERS;
        $checked = $known ? $hash : $this->nobody();
        $tried = $fits ? $password : '';
        $same = password_verify(
            str_starts_with($checked, '$argon2') ? self::composed($tried) : self::condensed($tried),
            $checked
        );
        return $same && $known && $fits;
    }

    public function needsRehash(string $hash): bool
    {
        return $this->argon2id
            ? password_needs_rehash($hash, PASSWORD_ARGON2ID, self::ARGON2ID)
            : password_needs_rehash($hash, PASSWORD_BCRYPT, self::BCRYPT);
    }

    /** A well-formed hash of random bytes: made without work, checked with all of it, and no password fits. */
    private function nobody(): string
    {
        if (!$this->argon2id) {
            $digest = strtr(rtrim(base64_encode(random_bytes(39)), '='), '+', '.');
            return sprintf('$2y$%02d$', self::BCRYPT['cost']) . 'O' . substr($digest, 0, 20) . 'O'
                . substr($digest, 20, 30) . 'O';
        }
        $settings = sprintf('m=%d,t=%d,p=%d', ...array_values(self::ARGON2ID));
        $salt = rtrim(base64_encode(random_bytes(16)), '=');
        return "\$argon2id\$v=19\$$settings\$$salt\$" . rtrim(base64_encode(random_bytes(32)), '=');
    }

    private static function condensed(string $password): string
    {
        return base64_encode(hash('sha384', self::composed($password), true));
    }

    /** NFC where intl is there: keyboards differ in how they write é. */
    private static function composed(string $password): string
    {
        $composed = class_exists(Normalizer::class) ? Normalizer::normalize($password, Normalizer::FORM_C) : $password;
        return $composed === false || $composed === null ? $password : $composed;
    }
}
