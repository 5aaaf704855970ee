<?php

/**
 * What the replies to the site's commands mean. A subject that comes back must be the very string that was sent, and a
 * match is a match only when it says exactly true. Every deviation is Garbled.
 */

declare(strict_types=1);

namespace FaceWeb\FaceServer;

final class Answers
{
    public static function isReady(Reply $reply): bool
    {
        return $reply->bool('ready');
    }

    public static function detection(Reply $reply): Detection
    {
        $faces = array_map(
            static fn (Reply $face): Face
                => new Face($face->floats('box', 4), $face->points('landmarks', 5), $face->float('confidence')),
            $reply->objects('faces'),
        );
        return new Detection($reply->int('width'), $reply->int('height'), $faces);
    }

    /** @param int $images how many were sent */
    public static function enrolment(Reply $reply, string $subject, int $images): Enrolment
    {
        self::requireSubject($reply, $subject);
        $told = $reply->objects('images');
        if (count($told) !== $images) {
            throw Garbled::because('it tells of ' . count($told) . " images, {$images} were sent");
        }
        $enrolled = array_map(self::enrolledImage(...), $told);
        if (array_filter($enrolled, static fn (EnrolledImage $image): bool => $image->accepted) === []) {
            throw Garbled::because('it enrolled no image and did not refuse');
        }
        return new Enrolment($reply->int('templates'), $enrolled);
    }

    /** @param bool $active whether steps were asked for: a challenge without any would then be less than that */
    public static function challenge(Reply $reply, bool $active): LivenessChallenge
    {
        $steps = array_map(self::step(...), $reply->objects('steps'));
        $each = $reply->int('frames_per_step');
        $images = LivenessChallenge::imagesOf(count($steps), $each);
        if ($each < 1 || $images > LivenessChallenge::MOST_IMAGES || $reply->int('max_frames') !== $images) {
            throw Garbled::because("it asks for {$each} images of each of " . count($steps) . ' steps');
        }
        $id = $reply->string('challenge');
        $withinS = min($reply->float('expires_s'), $reply->float('step_s'));
        if (preg_match('/\A[0-9a-f]{32}\z/', $id) !== 1 || $withinS <= 0) {
            throw Garbled::because('it gave a challenge that nobody can answer');
        }
        return $active && $steps === []
            ? throw Garbled::because('it was to ask for steps and asks for none')
            : new LivenessChallenge($id, $steps, $each, $reply->float('step_s'), $reply->float('expires_s'));
    }

    public static function stepKnown(Reply $reply, int $step): bool
    {
        return $reply->int('step') === $step ? true : throw Garbled::because('it answered about another step');
    }

    /** @param bool $live whether a challenge was answered: then the reply must say so */
    public static function identified(Reply $reply, bool $live = false): ?string
    {
        self::requireLive($reply, $live);
        return $reply->bool('match') ? $reply->string('id') : null;
    }

    public static function verified(Reply $reply, string $subject, bool $live = false): bool
    {
        self::requireSubject($reply, $subject);
        self::requireLive($reply, $live);
        return $reply->bool('match');
    }

    /** Checks that exactly this one was removed. */
    public static function removed(Reply $reply, string $subject): bool
    {
        if ($reply->strings('removed') !== [$subject] || $reply->strings('unknown') !== []) {
            throw Garbled::because('it removed another subject than was asked');
        }
        return true;
    }

    private static function enrolledImage(Reply $image): EnrolledImage
    {
        if ($image->bool('ok')) {
            return EnrolledImage::accepted($image->int('template'), $image->bool('duplicate'));
        }
        $refusal = Codec::refusal($image->object('error'));
        return EnrolledImage::refused($refusal->errorCode, $refusal->getMessage());
    }

    private static function step(Reply $step): LivenessStep
    {
        $kind = $step->string('step');
        if (!in_array($kind, LivenessStep::KINDS, true)) {
            throw Garbled::because('it asks for a step that no page knows');
        }
        if ($kind !== LivenessStep::FLASH) {
            return new LivenessStep($kind);
        }
        $colour = $step->string('colour');
        return preg_match('/\A#[0-9a-f]{6}\z/', $colour) === 1
            ? new LivenessStep($kind, $colour)
            : throw Garbled::because('it asks for a colour that is none');
    }

    private static function requireLive(Reply $reply, bool $live): void
    {
        if ($live && !$reply->has('live', true)) {
            throw Garbled::because('it was given the answer to a challenge and does not say that somebody lives');
        }
    }

    private static function requireSubject(Reply $reply, string $subject): void
    {
        if (!$reply->has('id', $subject)) {
            throw Garbled::because('it answered about another subject than was asked');
        }
    }
}
