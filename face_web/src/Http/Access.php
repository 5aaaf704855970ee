<?php

/** Who may use a route. Each level includes what the ones above it ask. */

declare(strict_types=1);

namespace FaceWeb\Http;

enum Access
{
    /** Machines: no session begins. */
    case Sessionless;
    /** Anybody with a browser. */
    case Open;
    /** Whoever is logged in. */
    case Person;
    /** Has given the password within `fresh_login_s`: a face alone changes no account. */
    case Fresh;
    /** An administrator who has given the password in this session. */
    case Admin;
    /** An administrator who has given it within `fresh_login_s`. */
    case FreshAdmin;

    public function needsLogin(): bool
    {
        return !in_array($this, [self::Sessionless, self::Open], true);
    }

    public function needsAdmin(): bool
    {
        return in_array($this, [self::Admin, self::FreshAdmin], true);
    }

    public function needsFresh(): bool
    {
        return in_array($this, [self::Fresh, self::FreshAdmin], true);
    }
}
