<?php

/** What the throttle says to an attempt. */

declare(strict_types=1);

namespace FaceWeb\Security;

final class Verdict
{
    /**
     * @param int  $retryAfterS  above 0 only when the refusal may be told: a lock of the source, or of the source with
     *                           the account it typed, known or not. A lock of an account answers 0: tell nothing.
     * @param bool $faceOff      face login of the account is off until a password login or an administrator
     * @param int  $delayMs      wait this long before answering, allowed or not (0 to 2000)
     */
    public function __construct(
        public readonly bool $allowed,
        public readonly int $retryAfterS = 0,
        public readonly bool $faceOff = false,
        public readonly int $delayMs = 0,
    ) {
    }
}
