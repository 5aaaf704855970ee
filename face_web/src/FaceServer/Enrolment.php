<?php

/** What `enrol` did: at least one image was accepted, else the daemon refused. */

declare(strict_types=1);

namespace FaceWeb\FaceServer;

final class Enrolment
{
    /**
     * @param int $templates how many the subject has now
     * @param list<EnrolledImage> $images in the order sent
     */
    public function __construct(
        public readonly int $templates,
        public readonly array $images,
    ) {
    }

    /** @return list<int> the templates made of the accepted images, each once */
    public function templateIds(): array
    {
        $ids = array_map(static fn (EnrolledImage $image): ?int => $image->templateId, $this->images);
        return array_values(array_unique(array_filter($ids, is_int(...))));
    }
}
