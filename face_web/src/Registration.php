<?php

/**
 * Row and templates of a new account succeed or fail together: pending row -> enrol -> active. What fails is taken back
 * here; what is killed in between is Reconciliation's, which the state of the row tells everything it needs.
 *
 * An email that has an account already is not told so. The same steps are then gone through with a row that stands in
 * for it and goes again: same work, same answer, and nobody learns who has an account here. The same for a face that
 * is enrolled under another account.
 */

declare(strict_types=1);

namespace FaceWeb;

use FaceWeb\Audit\AuditLog;
use FaceWeb\FaceServer\Enrolment;
use FaceWeb\FaceServer\FaceServer;
use FaceWeb\FaceServer\Unreachable;
use FaceWeb\People\EmailTaken;
use FaceWeb\People\Invites;
use FaceWeb\People\People;
use FaceWeb\People\Person;

final class Registration
{
    private readonly Enroller $enroller;

    public function __construct(
        private readonly Database $database,
        private readonly People $people,
        private readonly FaceServer $faceServer,
        private readonly Invites $invites,
        private readonly Reconciliation $reconciliation,
        private readonly AuditLog $audit,
    ) {
        $this->enroller = new Enroller($faceServer);
    }

    /**
     * Done: the answer that everybody gets whose pictures and form are in order, with an account or without.
     *
     * @param list<string> $images
     */
    public function register(Applicant $applicant, array $images, string $source): Outcome
    {
        try {
            $row = $this->pending($applicant);
            $standsIn = false;
        } catch (EmailTaken) {
            $row = $this->standIn($applicant);
            $standsIn = true;
        }
        $subject = null;
        try {
            $subject = $this->people->startFace($row->id);
            return $this->enrolled($row, $subject, $applicant, $images, $source, $standsIn);
        } catch (\Throwable $error) {
            $this->undo($row, $subject);
            return $error instanceof Unreachable ? self::unavailable($error) : throw $error;
        }
    }

    private function pending(Applicant $applicant): Person
    {
        $this->reconciliation->clearAbandoned($applicant->email);
        return $this->people->addPending(
            $applicant->name,
            $applicant->email,
            $applicant->passwordHash,
            $applicant->consentVersion,
        );
    }

    /** Never becomes an account: `.invalid` is nobody's address (RFC 2606). */
    private function standIn(Applicant $applicant): Person
    {
        $email = bin2hex(random_bytes(16)) . '@stand-in.invalid';
        return $this->people->addPending(
            $applicant->name,
            $email,
            $applicant->passwordHash,
            $applicant->consentVersion,
        );
    }

    /** @param list<string> $images */
    private function enrolled(
        Person $row,
        string $subject,
        Applicant $applicant,
        array $images,
        string $source,
        bool $standsIn,
    ): Outcome {
        $result = $this->enroller->enrol($subject, $images);
        if ($result instanceof Outcome) {
            $this->people->delete($row->id);
            return $result->kind === OutcomeKind::Refused ? $this->silently($source, 'duplicate_person') : $result;
        }
        if (!$this->completed($row, $standsIn ? null : $applicant->invite, $result)) {
            $this->undo($row);
            return Outcome::form(['invite' => 'unknown']);
        }
        if ($standsIn) {
            $this->undo($row);
            return $this->silently($source, 'email_taken');
        }
        $this->database->transaction(function () use ($row, $result, $source): void {
            $this->people->activate($row->id);
            $this->audit->append('registered', $row->id, $source, ['templates' => $result->templates]);
        });
        return Outcome::done();
    }

    /** The invitation is used up with the templates or not at all, and not by what does not become an account. */
    private function completed(Person $row, ?string $invite, Enrolment $enrolment): bool
    {
        return $this->database->transaction(function () use ($row, $invite, $enrolment): bool {
            if ($invite !== null && !$this->invites->use($invite)) {
                return false;
            }
            $this->people->faceEnrolled($row->id, $enrolment->templateIds());
            return true;
        });
    }

    private function silently(string $source, string $why): Outcome
    {
        $this->audit->append('registration_refused', null, $source, ['why' => $why]);
        return Outcome::done();
    }

    /** As far as it goes now; what stays is marked as pending and cleared later. */
    private function undo(Person $row, ?string $subject = null): void
    {
        try {
            $this->reconciliation->clear($row->id, $subject);
        } catch (\Throwable $error) {
            error_log('registration: taken back later: ' . $error->getMessage());
        }
    }

    private static function unavailable(Unreachable $error): Outcome
    {
        error_log('registration: ' . $error->getMessage());
        return Outcome::unavailable();
    }
}
