<?php

/** A person in an administrator's list: how the face is, and what can be done. */

declare(strict_types=1);

namespace FaceWeb\Page;

use FaceWeb\People\FaceState;
use FaceWeb\People\Person;
use FaceWeb\People\Status;

final class Listed
{
    public function __construct(public readonly Person $person, private readonly bool $faceLocked)
    {
    }

    /** A key below `face.`; locked: off by itself after too many wrong attempts. */
    public function faceState(): string
    {
        $state = $this->person->face?->state;
        return $state === FaceState::Active && $this->faceLocked ? 'locked' : ($state?->value ?? 'none');
    }

    /** @return array<string, bool> name of the action -> whether it cannot be undone */
    public function actions(): array
    {
        $face = $this->faceState();
        return array_filter([
            'disable' => $this->person->status === Status::Active ? false : null,
            'enable' => $this->person->status === Status::Disabled ? false : null,
            'face-off' => $face === 'active' ? false : null,
            'face-on' => in_array($face, ['off', 'locked'], true) ? false : null,
            'reset-face' => $face === 'none' ? null : true,
            'delete' => true,
        ], is_bool(...));
    }
}
