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

    public static function identified(Reply $reply): ?string
    {
        return $reply->bool('match') ? $reply->string('id') : null;
    }

    public static function verified(Reply $reply, string $subject): bool
    {
        self::requireSubject($reply, $subject);
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

    private static function requireSubject(Reply $reply, string $subject): void
    {
        if (!$reply->has('id', $subject)) {
            throw Garbled::because('it answered about another subject than was asked');
        }
    }
}
