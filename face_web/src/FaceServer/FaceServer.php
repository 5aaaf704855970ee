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
     * What a living person is to do now, for one `identify` or `verify`.
     *
     * @param string $purpose identify or verify: the command that will answer
     * @param string $mode passive, active or both; the daemon may ask for more, and what it answers is never less
     * @param string $binding what the challenge is tied to: the answer must bear the same
     * @param bool $flash whether a step may flash the screen
     */
    public function challenge(string $purpose, string $mode, string $binding, bool $flash = false): LivenessChallenge;

    /**
     * A step of a challenge is done, 0 being straight ahead: these are its pictures, which come later. In their order,
     * and soon after each: the daemon's clock counts. The latest may be told of again, in the same words.
     *
     * @param string $binding exactly what the challenge was tied to
     * @param list<string> $sha256s in hex, of each picture of the step
     */
    public function stepDone(string $challenge, string $binding, int $step, array $sha256s): void;

    /**
     * Who is this (1:N)?
     *
     * @param list<string> $images raw bytes, all of one person
     * @param LivenessAnswer|null $answer to a challenge, which is used up by it: a match is then of a living person,
     *        and the request is never made twice
     * @return string|null the subject, or null for no match
     */
    public function identify(array $images, ?LivenessAnswer $answer = null): ?string;

    /**
     * Is this the subject (1:1)? An unknown subject is Refused with the code `unknown_subject`.
     *
     * @param list<string> $images raw bytes, all of one person
     * @param LivenessAnswer|null $answer as of identify()
     */
    public function verify(string $subject, array $images, ?LivenessAnswer $answer = null): bool;

    /** Forgets a subject; false when it was not there. */
    public function remove(string $subject): bool;
}
