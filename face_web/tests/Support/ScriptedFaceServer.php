<?php

/**
 * A face server without networks, for tests of pages: a picture says in words whom it shows. It keeps the daemon's
 * rules (a person under one subject only, the same person in all captures, a challenge answered once by its own command
 * and binding and by the pictures that its steps told of) and can be told to fail before or after a step, as a daemon
 * that is killed does.
 */

declare(strict_types=1);

namespace FaceWeb\Tests\Support;

use FaceWeb\FaceServer\Detection;
use FaceWeb\FaceServer\EnrolledImage;
use FaceWeb\FaceServer\Enrolment;
use FaceWeb\FaceServer\Face;
use FaceWeb\FaceServer\FaceServer;
use FaceWeb\FaceServer\LivenessAnswer;
use FaceWeb\FaceServer\LivenessChallenge;
use FaceWeb\FaceServer\LivenessStep;
use FaceWeb\FaceServer\Refused;
use FaceWeb\FaceServer\Unreachable;

final class ScriptedFaceServer implements FaceServer
{
    /** @var array<string, string> subject -> person */
    public array $enrolled = [];
    /** @var list<string> commands in order */
    public array $asked = [];
    /** @var array<string, \Throwable> command -> what happens instead of it */
    public array $failBefore = [];
    /** @var array<string, \Throwable> command -> what happens once it is done */
    public array $failAfter = [];
    /** @var array<string, \Closure(): mixed> command -> what somebody else does, once, while it is on its way */
    public array $during = [];
    /** @var array<string, array{string, string, int}> open challenges: id -> purpose, binding, number of steps */
    public array $challenges = [];
    /** @var array<string, list<list<string>>> of a challenge, the hashes of each step */
    public array $told = [];
    /** @var list<array{string, string, bool}> purpose, mode and flash of those that were asked for */
    public array $challenged = [];
    /** @var array<string, mixed>|null the detail of `not_live`, with which every answer to a challenge is refused */
    public ?array $notLive = null;
    private int $templates = 100;

    /** SOI and the frame header of 640 x 480 in colour: by these a JPEG is known, and its size. */
    private const JPEG = "\xff\xd8\xff\xc0\x00\x11\x08\x01\xe0\x02\x80\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01";

    /** A picture's bytes: of this person, or `!code` for one that is no good. No two are the same. */
    public static function picture(string $shows): string
    {
        return self::JPEG . bin2hex(random_bytes(8)) . "|$shows";
    }

    /** @return list<string> */
    public static function burst(string $shows, int $count = 3): array
    {
        return array_map(static fn (): string => self::picture($shows), range(1, $count));
    }

    public function ping(): bool
    {
        return $this->step('ping', static fn (): bool => true);
    }

    public function detect(string $image): Detection
    {
        return $this->step('detect', static fn (): Detection => new Detection(320, 240, [
            new Face([100.0, 60.0, 200.0, 180.0], array_fill(0, 5, [1.0, 2.0]), 0.9),
        ]));
    }

    public function enrol(string $subject, array $images, bool $replace = false): Enrolment
    {
        return $this->step('enrol', function () use ($subject, $images): Enrolment {
            $codes = array_map(self::fault(...), $images);
            $good = array_keys($codes, null, true);
            if ($good === []) {
                throw Refused::because((string) $codes[0], '', ['images' => self::coded($codes)]);
            }
            $person = self::shown($images[$good[0]]);
            $elsewhere = array_search($person, array_diff_key($this->enrolled, [$subject => '']), true);
            if ($elsewhere !== false) {
                throw Refused::because('duplicate_person');
            }
            if (($this->enrolled[$subject] ?? $person) !== $person) {
                throw Refused::because('not_the_subject');
            }
            $this->enrolled[$subject] = $person;
            return new Enrolment(count($good), array_map(fn (?string $code): EnrolledImage => $code === null
                ? EnrolledImage::accepted(++$this->templates)
                : EnrolledImage::refused($code, $code), $codes));
        });
    }

    public function challenge(string $purpose, string $mode, string $binding, bool $flash = false): LivenessChallenge
    {
        return $this->step('challenge', function () use ($purpose, $mode, $binding, $flash): LivenessChallenge {
            $this->challenged[] = [$purpose, $mode, $flash];
            $id = bin2hex(random_bytes(16));
            $steps = [new LivenessStep('turn_left'), $flash ? new LivenessStep('flash', '#ff2020')
                : new LivenessStep('look_up')];
            $steps = $mode === 'passive' ? [] : $steps;
            $this->challenges[$id] = [$purpose, $binding, count($steps)];
            return new LivenessChallenge($id, $steps, 3, 15.0, 30.0);
        });
    }

    public function stepDone(string $challenge, string $binding, int $step, array $sha256s): void
    {
        $this->step('step', function () use ($challenge, $binding, $step, $sha256s): void {
            if (($this->challenges[$challenge][1] ?? null) !== $binding) {
                throw Refused::because('challenge_unknown');
            }
            $this->told[$challenge][$step] = $sha256s;
        });
    }

    public function identify(array $images, ?LivenessAnswer $answer = null): ?string
    {
        return $this->step('identify', function () use ($images, $answer): ?string {
            $this->take('identify', $answer, $images);
            $subject = array_search($this->probe($images), $this->enrolled, true);
            return $subject === false ? null : (string) $subject;
        });
    }

    public function verify(string $subject, array $images, ?LivenessAnswer $answer = null): bool
    {
        return $this->step('verify', function () use ($subject, $images, $answer): bool {
            $this->take('verify', $answer, $images);
            $person = $this->probe($images);
            $known = $this->enrolled[$subject] ?? throw Refused::because('unknown_subject');
            return $known === $person;
        });
    }

    public function remove(string $subject): bool
    {
        return $this->step('remove', function () use ($subject): bool {
            $was = isset($this->enrolled[$subject]);
            unset($this->enrolled[$subject]);
            return $was;
        });
    }

    public static function away(): Unreachable
    {
        return Unreachable::closed('the test');
    }

    private function step(string $command, \Closure $does): mixed
    {
        $this->asked[] = $command;
        if (isset($this->failBefore[$command])) {
            throw $this->failBefore[$command];
        }
        $elsewhere = $this->during[$command] ?? static fn (): mixed => null;
        unset($this->during[$command]);
        $elsewhere();
        $answer = $does();
        if (isset($this->failAfter[$command])) {
            throw $this->failAfter[$command];
        }
        return $answer;
    }

    /** @param list<string> $images */
    private function take(string $purpose, ?LivenessAnswer $answer, array $images): void
    {
        if ($answer === null) {
            return;
        }
        $asked = $this->challenges[$answer->challenge] ?? null;
        unset($this->challenges[$answer->challenge]);
        if ($asked === null || [$asked[0], $asked[1]] !== [$purpose, $answer->binding]) {
            throw Refused::because('challenge_unknown');
        }
        $hashes = array_map(static fn (string $image): string => hash('sha256', $image), $images);
        if ($asked[2] > 0 && array_merge(...$this->told[$answer->challenge] ?? []) !== $hashes) {
            throw Refused::because('not_live', '', ['check' => 'told']);
        }
        if ($this->notLive !== null) {
            throw Refused::because('not_live', '', $this->notLive);
        }
    }

    /** @param list<string> $images */
    private function probe(array $images): string
    {
        $codes = array_map(self::fault(...), $images);
        if (!in_array(null, $codes, true)) {
            throw Refused::because((string) $codes[0], '', ['images' => self::coded($codes)]);
        }
        return self::shown($images[(int) array_search(null, $codes, true)]);
    }

    /**
     * @param list<?string> $codes
     * @return list<array{code?: string}>
     */
    private static function coded(array $codes): array
    {
        return array_map(static fn (?string $code): array => $code === null ? [] : ['code' => $code], $codes);
    }

    private static function fault(string $image): ?string
    {
        $shown = self::shown($image);
        return str_starts_with($shown, '!') ? substr($shown, 1) : null;
    }

    private static function shown(string $image): string
    {
        return explode('|', $image, 2)[1] ?? '!no_face';
    }
}
