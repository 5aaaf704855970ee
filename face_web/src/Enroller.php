<?php

/**
 * A burst of pictures -> templates of one subject, all or nothing: what came half-way is taken back before a no is
 * told. Knows the daemon only; the rows of the database are its callers'.
 */

declare(strict_types=1);

namespace FaceWeb;

use FaceWeb\FaceServer\EnrolledImage;
use FaceWeb\FaceServer\Enrolment;
use FaceWeb\FaceServer\FaceServer;
use FaceWeb\FaceServer\Refused;

final class Enroller
{
    /** Of a new face; with a single template the next login depends on one moment's light. */
    private const LEAST_ACCEPTED = 2;

    public function __construct(private readonly FaceServer $faceServer)
    {
    }

    /**
     * A face of its own for a subject that has none.
     *
     * @param list<string> $images
     * @return Enrolment|Outcome an outcome is a no; the daemon then has nothing under the subject
     * @throws \FaceWeb\FaceServer\Unreachable the daemon may have it or not
     */
    public function enrol(string $subject, array $images): Enrolment|Outcome
    {
        try {
            $enrolment = $this->faceServer->enrol($subject, $images);
        } catch (Refused $refused) {
            return self::refusal($refused, count($images));
        }
        $accepted = count(array_filter($enrolment->images, static fn (EnrolledImage $image): bool => $image->accepted));
        if ($accepted < min(self::LEAST_ACCEPTED, count($images))) {
            $this->faceServer->remove($subject);
            return self::tooFew($enrolment);
        }
        return $enrolment;
    }

    /**
     * More pictures of a subject that has some.
     *
     * @param list<string> $images
     */
    public function add(string $subject, array $images): Enrolment|Outcome
    {
        try {
            return $this->faceServer->enrol($subject, $images);
        } catch (Refused $refused) {
            return isset($refused->detail['max_templates_per_subject'])
                ? Outcome::form(['captures' => 'full'])
                : self::refusal($refused, count($images));
        }
    }

    private static function refusal(Refused $refused, int $images): Outcome
    {
        return match (true) {
            $refused->isForPerson(), in_array($refused->errorCode, ['image_too_large', 'too_many_images'], true)
                => Outcome::quality($refused->errorCode, $refused->imageCodes($images)),
            in_array($refused->errorCode, ['duplicate_person', 'not_the_subject'], true) => Outcome::refused(),
            default => self::outOfOrder($refused),
        };
    }

    private static function tooFew(Enrolment $enrolment): Outcome
    {
        $codes = array_map(static fn (EnrolledImage $image): ?string => $image->code, $enrolment->images);
        return Outcome::quality((string) (array_values(array_filter($codes))[0] ?? 'no_face'), $codes);
    }

    private static function outOfOrder(Refused $refused): Outcome
    {
        error_log('enrolment: ' . $refused->getMessage());
        return Outcome::unavailable();
    }
}
