<?php

/**
 * Finishes what a crash left half-way between database and daemon, always towards less: templates go first, then the
 * row that says under which subject they are. Doing it twice does no harm. What has no row any more is removed once
 * again (see People\GoneFaces), so that no template is left whose owner nobody knows.
 */

declare(strict_types=1);

namespace FaceWeb;

use FaceWeb\Audit\AuditLog;
use FaceWeb\FaceServer\FaceServer;
use FaceWeb\People\FaceState;
use FaceWeb\People\People;
use FaceWeb\People\Person;
use FaceWeb\People\Status;
use FaceWeb\Security\Clock;

final class Reconciliation
{
    /** No request takes so long: whatever is older is nobody's any more. */
    public const ABANDONED_S = 600;

    public function __construct(
        private readonly People $people,
        private readonly FaceServer $faceServer,
        private readonly AuditLog $audit,
        private readonly Clock $clock,
    ) {
    }

    /**
     * Everything half-made; with $abandonedOnly what no running request can still be at.
     *
     * @return int how many accounts and faces were cleared
     * @throws \FaceWeb\FaceServer\Unreachable
     */
    public function run(bool $abandonedOnly = true): int
    {
        $cleared = 0;
        foreach ($this->people->halfMade() as $person) {
            if (!$abandonedOnly || $this->isAbandoned($person)) {
                $this->clear($person->id);
                $this->audit->append('reconciled', $person->id, 'reconcile', ['status' => $person->status->value]);
                $cleared++;
            }
        }
        return $cleared + $this->clearGone($abandonedOnly);
    }

    /** @return int how many subjects without a row had templates after all */
    private function clearGone(bool $abandonedOnly): int
    {
        $cleared = 0;
        foreach ($this->people->goneFaces->olderThan($abandonedOnly ? self::ABANDONED_S : 0) as $subject) {
            if ($this->faceServer->remove($subject)) {
                $this->audit->append('reconciled', null, 'reconcile', ['status' => 'gone']);
                $cleared++;
            }
            $this->people->goneFaces->forget($subject);
        }
        return $cleared;
    }

    /** Frees an email that a registration took and never finished. */
    public function clearAbandoned(string $email): void
    {
        $person = $this->people->byEmail($email);
        $halfMade = [Status::Pending, Status::Deleting];
        if ($person !== null && in_array($person->status, $halfMade, true) && $this->isAbandoned($person)) {
            $this->clear($person->id);
        }
    }

    /**
     * One account or face that is half-made; others are left alone.
     *
     * @param string|null $subject under which the daemon was asked to enrol: its templates go also where somebody else
     *        has removed the row in the meantime, since nothing would tell of them any more
     */
    public function clear(int $id, ?string $subject = null): void
    {
        $person = $this->people->byId($id);
        if ($subject !== null && $person?->face?->subject !== $subject) {
            $this->faceServer->remove($subject);
        }
        $goes = in_array($person?->status, [Status::Pending, Status::Deleting], true);
        $faceGoes = in_array($person?->face?->state, [FaceState::Enrolling, FaceState::Removing], true);
        if ($person === null || (!$goes && !$faceGoes)) {
            return;
        }
        if ($person->face !== null) {
            $this->faceServer->remove($person->face->subject);
        }
        $goes ? $this->people->delete($id) : $this->people->removeFace($id);
    }

    private function isAbandoned(Person $person): bool
    {
        $since = max($person->createdAt, $person->face?->createdAt ?? 0);
        return $this->clock->now() - $since >= self::ABANDONED_S;
    }
}
