<?php

/**
 * What a person (or an administrator for them) changes about an account. Knows no page; that the person has proved who
 * they are is the routes' to see to. What involves the daemon is marked in the row first, so that a crash leaves a row
 * that Reconciliation understands.
 */

declare(strict_types=1);

namespace FaceWeb;

use FaceWeb\Audit\AuditLog;
use FaceWeb\FaceServer\Enrolment;
use FaceWeb\FaceServer\FaceServer;
use FaceWeb\FaceServer\Refused;
use FaceWeb\FaceServer\Unreachable;
use FaceWeb\People\EmailTaken;
use FaceWeb\People\FaceState;
use FaceWeb\People\InvalidEntry;
use FaceWeb\People\People;
use FaceWeb\People\Person;
use FaceWeb\People\Status;
use FaceWeb\People\WrongState;
use FaceWeb\Security\Passwords;
use FaceWeb\Security\Throttle;

final class Account
{
    private readonly Enroller $enroller;

    public function __construct(
        private readonly Database $database,
        private readonly People $people,
        private readonly FaceServer $faceServer,
        private readonly Reconciliation $reconciliation,
        private readonly Passwords $passwords,
        private readonly Throttle $throttle,
        private readonly AuditLog $audit,
    ) {
        $this->enroller = new Enroller($faceServer);
    }

    /**
     * More captures of the face, or the first of a new one under a new subject.
     *
     * @param list<string> $images
     * @param string $consentVersion what a person without a face agrees to with this
     */
    public function addCaptures(Person $person, array $images, string $consentVersion, string $source): Outcome
    {
        try {
            return match ($person->face?->state) {
                null => $this->newFace($person, $images, $consentVersion, $source),
                FaceState::Active, FaceState::Off => $this->moreOf($person, $images, $source),
                default => Outcome::unavailable(),
            };
        } catch (Unreachable | WrongState $error) { // the second: the face or the account went in the meantime
            error_log('captures: ' . $error->getMessage());
            return Outcome::unavailable();
        }
    }

    /**
     * Withdraws the consent, and ends what the face has opened. False: the daemon is away, the face is out of use at
     * once and goes when it is back.
     */
    public function removeFace(Person $person, string $source, ?Person $by = null): bool
    {
        if ($person->face === null) {
            return true;
        }
        $this->database->transaction(function () use ($person, $source, $by): void {
            if ($person->face->state !== FaceState::Removing) {
                $this->people->setFaceState($person->id, FaceState::Removing);
            }
            if ($by !== null) {
                $this->people->unbar($person->id);
            }
            $this->people->endSessions($person->id);
            $this->audit->append('face_removed', $person->id, $source, self::hand($by));
        });
        return $this->cleared($person);
    }

    /** @return string|null why not */
    public function changePassword(Person $person, #[\SensitiveParameter] string $password, string $source): ?string
    {
        $objection = $this->passwords->objection($password);
        if ($objection !== null) {
            return $objection;
        }
        $hash = $this->passwords->hash($password);
        $this->database->transaction(function () use ($person, $hash, $source): void {
            $this->people->setPasswordHash($person->id, $hash);
            $this->audit->append('password_changed', $person->id, $source);
        });
        return null;
    }

    /** @return string|null why not; `unusable` says that another account has it, so callers limit how often it is asked */
    public function changeEmail(Person $person, string $email, string $source): ?string
    {
        try {
            $this->database->transaction(function () use ($person, $email, $source): void {
                $this->people->setEmail($person->id, $email);
                $this->audit->append('email_changed', $person->id, $source);
            });
        } catch (EmailTaken) {
            $this->audit->append('email_refused', $person->id, $source);
            return 'unusable';
        } catch (InvalidEntry) {
            return 'invalid';
        }
        return null;
    }

    /** False: nobody logs in any more, and the rest goes when the daemon is back. */
    public function delete(Person $person, string $source, ?Person $by = null): bool
    {
        $this->database->transaction(function () use ($person, $source, $by): void {
            $this->people->markDeleting($person->id);
            $this->throttle->faceOn($person->id);
            $this->audit->append('account_deleted', $person->id, $source, self::hand($by));
        });
        return $this->cleared($person);
    }

    public function setEnabled(Person $person, bool $enabled, string $source, Person $by): void
    {
        $this->database->transaction(function () use ($person, $enabled, $source, $by): void {
            $this->people->setStatus($person->id, $enabled ? Status::Active : Status::Disabled);
            $event = $enabled ? 'admin_enabled' : 'admin_disabled';
            $this->audit->append($event, $person->id, $source, self::hand($by));
        });
    }

    /** After too many wrong faces, or after an administrator turned it off. */
    public function setFaceOn(Person $person, bool $on, string $source, Person $by): void
    {
        $this->database->transaction(function () use ($person, $on, $source, $by): void {
            $this->people->setFaceState($person->id, $on ? FaceState::Active : FaceState::Off);
            $on ? $this->throttle->faceOn($person->id) : $this->people->endSessions($person->id);
            $event = $on ? 'admin_face_on' : 'face_disabled';
            $this->audit->append($event, $person->id, $source, self::hand($by));
        });
    }

    /** @param list<string> $images */
    private function newFace(Person $person, array $images, string $consentVersion, string $source): Outcome
    {
        $subject = $this->people->startFace($person->id);
        $this->people->recordConsent($person->id, $consentVersion);
        try {
            $result = $this->enroller->enrol($subject, $images);
            if ($result instanceof Outcome) {
                $this->people->removeFace($person->id);
                return $result;
            }
            $this->database->transaction(function () use ($person, $result, $source): void {
                $this->people->faceEnrolled($person->id, $result->templateIds());
                $this->throttle->faceOn($person->id);
                $this->audit->append('face_added', $person->id, $source, ['templates' => $result->templates]);
            });
            return Outcome::done();
        } catch (\Throwable $error) {
            $this->cleared($person, $subject);
            throw $error;
        }
    }

    /** @param list<string> $images */
    private function moreOf(Person $person, array $images, string $source): Outcome
    {
        $subject = (string) $person->face?->subject;
        $result = $this->enroller->add($subject, $images);
        if (!$result instanceof Enrolment) {
            return $result;
        }
        try {
            $this->database->transaction(function () use ($person, $subject, $result, $source): void {
                $this->people->addCaptures($person->id, $result->templateIds(), $subject);
                $this->audit->append('captures_added', $person->id, $source, ['templates' => $result->templates]);
            });
        } catch (WrongState $gone) { // removed while the daemon was at it, which has begun the subject anew
            $this->faceServer->remove($subject);
            throw $gone;
        }
        return Outcome::done();
    }

    private function cleared(Person $person, ?string $subject = null): bool
    {
        try {
            $this->reconciliation->clear($person->id, $subject);
            return true;
        } catch (Unreachable | Refused $error) {
            error_log('account: finished later: ' . $error->getMessage());
            return false;
        }
    }

    /** @return array<string, int> */
    private static function hand(?Person $by): array
    {
        return $by === null ? [] : ['by' => $by->id];
    }
}
