<?php

/**
 * Decides who gets in. Every path asks the throttle first and tells it how it ended; an unknown email, a locked
 * account, a face that is off and a wrong face cost the same work and come to the same outcome. Whatever throws in here
 * is nobody's login. Knows no page, no session and no nonce.
 */

declare(strict_types=1);

namespace FaceWeb;

use FaceWeb\Audit\AuditLog;
use FaceWeb\FaceServer\FaceServer;
use FaceWeb\FaceServer\LivenessAnswer;
use FaceWeb\FaceServer\Refused;
use FaceWeb\FaceServer\Unreachable;
use FaceWeb\People\Entries;
use FaceWeb\People\FaceState;
use FaceWeb\People\InvalidEntry;
use FaceWeb\People\People;
use FaceWeb\People\Person;
use FaceWeb\Security\Attempt;
use FaceWeb\Security\Passwords;
use FaceWeb\Security\Throttle;
use FaceWeb\Security\Verdict;

final class Login
{
    public const FACE = 'face';
    public const EMAIL_FACE = 'email_face';
    public const FACE_THEN_PASSWORD = 'face_then_password';

    /**
     * @param bool $asksForLife whether a face counts only in answer to a challenge
     * @param \Closure(int): void $pause waits for so many milliseconds
     */
    public function __construct(
        private readonly People $people,
        private readonly FaceServer $faceServer,
        private readonly Throttle $throttle,
        private readonly Passwords $passwords,
        private readonly AuditLog $audit,
        private readonly string $mode,
        private readonly bool $asksForLife,
        private readonly \Closure $pause,
    ) {
    }

    /**
     * Done: it is the outcome's person, who may be let in, or (face_then_password) may go on to the password.
     *
     * @param list<string> $frames of one burst
     * @param \Closure(): bool $areNew whether they were never sent before; asked once, and only of an attempt that may
     *        be made, so that a locked source fills no memory. A replay is a failure, and the daemon is not asked
     * @param LivenessAnswer|null $answer what the frames answer; null only where nothing was asked
     */
    public function byFace(
        string $source,
        string $email,
        array $frames,
        \Closure $areNew,
        ?LivenessAnswer $answer,
    ): Outcome {
        if ($this->asksForLife && $answer === null) {
            throw new \LogicException('a login by face that shows nobody living');
        }
        $claimed = $this->mode === self::FACE ? null : $this->people->byEmail($email);
        $attempt = Attempt::face($source, $claimed?->id);
        $verdict = $this->begin($attempt);
        if ($verdict->retryAfterS > 0) {
            return Outcome::wait($verdict->retryAfterS);
        }
        if (!$areNew()) {
            $this->throttle->failed($attempt);
            $this->audit->append('login_refused', $claimed?->id, $source, ['by' => 'face', 'why' => 'replay']);
            return Outcome::refused();
        }
        try {
            $seen = $this->mode === self::FACE
                ? $this->identified($frames, $answer)
                : $this->verified($claimed, $frames, $answer);
        } catch (Refused | Unreachable $error) {
            $outcome = self::withoutVerdict($error, count($frames));
            if ($outcome->kind === OutcomeKind::NotLive) {
                // A failure whoever it shows, and told at once also before a password: it says nothing about who that
                // is, since the daemon judges before it looks anybody up.
                $this->throttle->failed($attempt);
                $why = ['by' => 'face', 'why' => 'not_live'];
                $this->audit->append('login_refused', $claimed?->id, $source, $why);
            } else {
                $this->throttle->refunded($attempt);
            }
            return $outcome;
        }
        return $this->decided($attempt, $verdict, $seen, $source, $claimed);
    }

    /**
     * A password alone. Where both are asked for it opens only accounts that have no face to ask for; one that is being
     * removed, or was never enrolled to the end, is none.
     */
    public function byPassword(string $source, string $email, #[\SensitiveParameter] string $password): Outcome
    {
        return $this->checked($source, $email, $password, fn (Person $person): bool =>
            $this->mode !== self::FACE_THEN_PASSWORD
                || !in_array($person->face?->state, [FaceState::Active, FaceState::Off], true));
    }

    /**
     * The password after the face, for the email that was claimed with it.
     *
     * @param int|null $seen whom the camera saw; null: not the claimed one, which only now comes out
     * @param string $seenFrom the source of the pictures
     * @param int $seenAt when they came
     */
    public function bySecond(
        string $source,
        string $email,
        #[\SensitiveParameter] string $password,
        ?int $seen,
        string $seenFrom,
        int $seenAt,
    ): Outcome {
        $outcome = $this->checked($source, $email, $password, fn (Person $person): bool =>
            $person->id === $seen && $person->hasActiveFace());
        if ($seen !== null && $outcome->isDone()) {
            $this->throttle->borneOut($seenFrom, $seen, $seenAt);
        }
        return $outcome;
    }

    /** The password of somebody who is logged in, before an account is changed. */
    public function confirms(string $source, Person $person, #[\SensitiveParameter] string $password): Outcome
    {
        return $this->checked($source, $person->email, $password, fn (Person $found): bool =>
            $found->id === $person->id, 'confirm');
    }

    private function begin(Attempt $attempt): Verdict
    {
        $verdict = $this->throttle->begin($attempt);
        if ($verdict->retryAfterS === 0) { // who is told to wait keeps no process of the site waiting
            ($this->pause)($verdict->delayMs);
        }
        return $verdict;
    }

    /** @param list<string> $frames */
    private function identified(array $frames, ?LivenessAnswer $answer): ?Person
    {
        $subject = $this->faceServer->identify($frames, $answer);
        return $subject === null ? null : $this->people->bySubject($subject);
    }

    /**
     * Somebody who is not there, or has no face, is compared with a subject that nobody has: the same work.
     *
     * @param list<string> $frames
     */
    private function verified(?Person $claimed, array $frames, ?LivenessAnswer $answer): ?Person
    {
        try {
            $subject = $claimed?->face?->subject ?? bin2hex(random_bytes(16));
            return $this->faceServer->verify($subject, $frames, $answer) ? $claimed : null;
        } catch (Refused $refused) {
            return $refused->errorCode === 'unknown_subject' ? null : throw $refused;
        }
    }

    private function decided(
        Attempt $attempt,
        Verdict $verdict,
        ?Person $seen,
        string $source,
        ?Person $claimed,
    ): Outcome {
        [$known, $seen] = [$seen, $this->still($seen)];
        // Of a claimed account begin() has said so before it charged: asked again, the charge would be the 50th.
        $usable = $seen !== null && ($claimed !== null || !$this->throttle->isFaceOff($seen->id));
        $fits = $usable && $verdict->allowed && !$verdict->faceOff;
        if ($this->mode === self::FACE_THEN_PASSWORD) {
            // Not before the password may it show: counted as a failure until then, and the same lines written.
            $this->throttle->failed($attempt);
            $this->audit->append('face_checked', $claimed?->id, $source, ['fits' => $fits]);
            return $fits ? Outcome::done($seen) : Outcome::refused();
        }
        if (!$fits) {
            $this->throttle->failed($attempt);
            $this->audit->append('login_refused', $claimed?->id ?? $known?->id, $source, ['by' => 'face']);
            return Outcome::refused();
        }
        $this->throttle->succeeded($attempt, $seen->id);
        return Outcome::done($seen);
    }

    /** As the row is now: the face may have been removed, and the account disabled, while the daemon was at work. */
    private function still(?Person $seen): ?Person
    {
        $now = $seen === null ? null : $this->people->byId($seen->id);
        return $now?->hasActiveFace() === true && $now->face?->subject === $seen?->face?->subject ? $now : null;
    }

    /** What it came to where the daemon did not say whom it saw. Never a yes. */
    public static function withoutVerdict(Refused|Unreachable $error, int $frames = 0): Outcome
    {
        if ($error instanceof Refused && $error->errorCode === 'not_live') {
            [$check, $step] = [$error->detail['check'] ?? '', $error->detail['step'] ?? null];
            return Outcome::notLive(is_string($check) ? $check : '', is_int($step) ? $step : null);
        }
        if ($error instanceof Refused && ($error->isForPerson() || $error->errorCode === 'image_too_large')) {
            return Outcome::quality($error->errorCode, $error->imageCodes($frames));
        }
        if ($error instanceof Refused && $error->errorCode === 'challenge_unknown') {
            return Outcome::late();
        }
        error_log('face login: ' . $error->getMessage());
        return Outcome::unavailable();
    }

    /** @param \Closure(Person): bool $admits */
    private function checked(
        string $source,
        string $email,
        #[\SensitiveParameter] string $password,
        \Closure $admits,
        string $by = 'password',
    ): Outcome {
        $attempt = Attempt::password($source, self::key($email));
        $verdict = $this->begin($attempt);
        if (!$verdict->allowed) {
            return Outcome::wait($verdict->retryAfterS);
        }
        $person = $this->people->byEmail($email);
        $fits = $this->passwords->verify($person?->passwordHash, $password);
        $isRight = $person !== null && $fits && $person->isActive();
        if (!$isRight || !$admits($person)) {
            $this->throttle->failed($attempt);
            if ($isRight && $this->mode === self::FACE_THEN_PASSWORD) {
                $this->throttle->faceForgiven($person->id);
            }
            $this->audit->append('login_refused', $person?->id, $source, ['by' => $by]);
            return Outcome::refused();
        }
        $this->throttle->succeeded($attempt, $person->id);
        return Outcome::done($this->settled($person, $password));
    }

    /** The right password clears what wrong faces have piled up, and gets a hash of today's strength. */
    private function settled(Person $person, #[\SensitiveParameter] string $password): Person
    {
        $this->throttle->faceOn($person->id);
        if ($this->passwords->needsRehash($person->passwordHash)) {
            $this->people->renewPasswordHash($person->id, $this->passwords->hash($password));
        }
        return $this->people->byId($person->id) ?? throw new \RuntimeException('the account went away');
    }

    private static function key(string $email): string
    {
        try {
            return Entries::email($email);
        } catch (InvalidEntry) {
            return mb_strtolower(substr(trim($email), 0, Entries::MAX_EMAIL), 'UTF-8');
        }
    }
}
