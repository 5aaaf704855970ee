<?php

/** A user of the site as the database had it when asked. */

declare(strict_types=1);

namespace FaceWeb\People;

final class Person
{
    /**
     * @param string $passwordHash empty: a row of the original system, whose owner has to register anew
     * @param int    $sessionsFrom sessions whose login is older than this are no longer good
     */
    public function __construct(
        public readonly int $id,
        public readonly string $name,
        public readonly string $email,
        public readonly Status $status,
        public readonly Role $role,
        public readonly string $passwordHash,
        public readonly ?int $consentAt,
        public readonly ?string $consentVersion,
        public readonly ?Face $face,
        public readonly int $createdAt,
        public readonly int $sessionsFrom,
    ) {
    }

    public function isAdmin(): bool
    {
        return $this->role === Role::Admin;
    }

    /** May log in at all. */
    public function isActive(): bool
    {
        return $this->status === Status::Active && $this->passwordHash !== '';
    }

    /** May log in by face. */
    public function hasActiveFace(): bool
    {
        return $this->isActive() && $this->face?->state === FaceState::Active;
    }
}
