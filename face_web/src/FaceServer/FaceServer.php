<?php

/** What the site may ask of the daemon. Knows neither sockets nor people; subject ids are strings that the site made. */

declare(strict_types=1);

namespace FaceWeb\FaceServer;

/**
 * Every method raises Refused when the daemon says no, and Unreachable when it cannot be understood in time.
 * Neither is ever a match.
 */
interface FaceServer
{
    /** Whether the daemon is there and can work on images. */
    public function ping(): bool;

    /** The faces of one image, largest first; none is not an error. */
    public function detect(string $image): Detection;

    /**
     * Adds templates to a subject, or with $replace swaps all; when this returns they are on disk.
     * May be asked again after Unreachable: the same image is one template.
     *
     * @param list<string> $images raw bytes, all of one person
     */
    public function enrol(string $subject, array $images, bool $replace = false): Enrolment;

    /**
     * Who is this (1:N)?
     *
     * @param list<string> $images raw bytes, all of one person
     * @return string|null the subject, or null for no match
     */
    public function identify(array $images): ?string;

    /**
     * Is this the subject (1:1)? An unknown subject is Refused with the code `unknown_subject`.
     *
     * @param list<string> $images raw bytes, all of one person
     */
    public function verify(string $subject, array $images): bool;

    /** Forgets a subject; false when it was not there. */
    public function remove(string $subject): bool;
}
