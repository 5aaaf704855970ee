<?php

/** Owns what a name and an email may be, and the one form in which each is kept. Knows no database. */

declare(strict_types=1);

namespace FaceWeb\People;

use Normalizer;

final class Entries
{
    public const MAX_EMAIL = 254;
    public const MAX_NAME = 100;

    /**
     * Trimmed and lower-cased. Checked before lower-casing: `K` (the Kelvin sign) would become a plain `k`.
     *
     * @throws InvalidEntry
     */
    public static function email(string $typed): string
    {
        $email = trim($typed, " \t\r\n"); // not NUL, which trim() would take too
        if (strlen($email) > self::MAX_EMAIL || filter_var($email, FILTER_VALIDATE_EMAIL) === false) {
            throw InvalidEntry::email();
        }
        return mb_strtolower($email, 'UTF-8');
    }

    /**
     * Trimmed, NFC where intl is there. Control characters and the invisible ones that turn text around are refused.
     *
     * @throws InvalidEntry
     */
    public static function name(string $typed): string
    {
        if (!mb_check_encoding($typed, 'UTF-8')) {
            throw InvalidEntry::name('invalid');
        }
        $name = preg_replace('/^[\s\p{Z}]+|[\s\p{Z}]+$/u', '', self::composed($typed));
        if ($name === '' || $name === null) {
            throw InvalidEntry::name('empty');
        }
        if (mb_strlen($name, 'UTF-8') > self::MAX_NAME) {
            throw InvalidEntry::name('too_long');
        }
        if (preg_match('/[\p{Cc}\p{Co}\p{Zl}\p{Zp}\x{202A}-\x{202E}\x{2066}-\x{2069}\x{FEFF}]/u', $name) === 1) {
            throw InvalidEntry::name('invalid');
        }
        return $name;
    }

    private static function composed(string $text): string
    {
        $composed = class_exists(Normalizer::class) ? Normalizer::normalize($text, Normalizer::FORM_C) : $text;
        return $composed === false ? $text : $composed;
    }
}
