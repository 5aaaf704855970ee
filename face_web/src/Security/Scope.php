<?php

/** Owns which counters there are, and the limit of each with its reason. */

declare(strict_types=1);

namespace FaceWeb\Security;

enum Scope: string
{
    case FaceSource = 'face_source';
    case FaceAccount = 'face_account';
    case PasswordSource = 'password_source';
    case PasswordPair = 'password_pair';
    case PasswordAccount = 'password_account';
    case ExchangeSource = 'exchange_source';
    case ExchangePair = 'exchange_pair';
    case Registration = 'registration';
    case Quality = 'quality';
    case Everywhere = 'everywhere';
    case Challenge = 'challenge';
    case DetectSession = 'detect_session';
    case DetectSource = 'detect_source';
    case DetectAll = 'detect_all';
    case Forgiven = 'forgiven';

    /** Counts failures in a row and locks longer with each; the others count within a window. */
    public function isStreak(): bool
    {
        return match ($this) {
            self::FaceSource, self::FaceAccount, self::PasswordSource, self::PasswordPair, self::ExchangeSource,
            self::ExchangePair => true,
            default => false,
        };
    }

    /** May the person be told that this is what locks? Not for an account: it would say that the account is there. */
    public function isTold(): bool
    {
        return $this !== self::FaceAccount;
    }

    /**
     * Of a streak: quiet time after which it is forgotten; null: never, only a success ends it. An hour, since four
     * attempts an hour are what the longest lock lets through anyway: waiting gains nothing.
     */
    public function windowS(): ?int
    {
        return match ($this) {
            self::FaceAccount => null,
            self::FaceSource, self::PasswordSource, self::PasswordPair, self::ExchangeSource,
            self::ExchangePair => 3600,
            self::PasswordAccount => 3600,
            self::Registration => 3600,
            self::Quality, self::Challenge => 600,
            self::Everywhere => 60,
            self::DetectSession, self::DetectSource, self::DetectAll => 1,
            self::Forgiven => 43200,
        };
    }

    /** Of a window: events that it has room for. */
    public function limit(): int
    {
        return match ($this) {
            self::Registration => 10,  // a family at one address in an hour, not a list of stolen photos
            self::Quality => 60,       // one every ten seconds: a person who is being advised, not a search
            self::Challenge => 30,     // left unanswered: people who are slow, not who waits for what a film shows
            self::DetectSession => 3,  // the page asks at most three times a second
            self::DetectSource => 6,   // two cameras at one address: nobody takes the whole budget
            self::DetectAll => 12,     // what leaves the daemon of two cores time for logins
            self::Forgiven => 1,       // an account clears its source's streak, or its own, once in twelve hours
            default => PHP_INT_MAX,    // slows, never denies
        };
    }
}
