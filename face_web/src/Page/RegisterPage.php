<?php

/**
 * Registration: the form, the pictures, and one answer for everybody whose form and pictures are in order. It does not
 * log in: that alone would tell a new email from one that has an account.
 */

declare(strict_types=1);

namespace FaceWeb\Page;

use FaceWeb\Applicant;
use FaceWeb\Config;
use FaceWeb\Http\HttpError;
use FaceWeb\Http\Response;
use FaceWeb\Outcome;
use FaceWeb\OutcomeKind;
use FaceWeb\People\Entries;
use FaceWeb\People\InvalidEntry;
use FaceWeb\Security\Attempt;
use FaceWeb\Services;
use FaceWeb\Visit;

final class RegisterPage
{
    /** Of the consent's text in the language files; a new wording gets a new date. */
    private const CONSENT_VERSION = '2026-11';

    public function __construct(private readonly Services $services)
    {
    }

    /** Which wording a person agrees to: where crops are kept it says so. */
    public static function consentVersion(Config $config): string
    {
        return self::CONSENT_VERSION . ($config->keepCrops ? '+crops' : '');
    }

    public function show(Visit $visit): Response
    {
        $web = $this->services->config->web;
        if ($web->registration === 'closed') {
            return $visit->page('register_closed', [], 403);
        }
        return $visit->page('register', [
            'camera' => true,
            'invited' => $web->registration === 'invite',
            'invite' => substr($visit->request->query['invite'] ?? '', 0, 100),
            'frames' => $web->burstFrames,
            'upload' => $web->uploadAccepted,
        ]);
    }

    public function done(Visit $visit): Response
    {
        return $visit->page('registered');
    }

    public function register(Visit $visit): Response
    {
        if ($this->services->config->web->registration === 'closed') {
            throw HttpError::notFound();
        }
        $burst = new Burst($this->services, $visit, Burst::REGISTER);
        $pictures = $burst->pictures();
        if (!$burst->hasNonce()) {
            return $burst->nonceGone();
        }
        $faults = $this->faults($visit);
        if ($faults !== []) {
            return $burst->answer(Outcome::form($faults), '');
        }
        if (!$pictures->areReadable()) {
            return $burst->unreadable($pictures);
        }
        // A photo file is the same bytes at every try, so where files are taken a second try is no replay.
        $areNew = fn (): bool => $burst->isNew($pictures) || $this->services->config->web->uploadAccepted;
        return $burst->answer($this->limited($visit, $pictures->bytes, $areNew), '/registered');
    }

    /**
     * @param list<string> $pictures
     * @param \Closure(): bool $areNew
     */
    private function limited(Visit $visit, array $pictures, \Closure $areNew): Outcome
    {
        $throttle = $this->services->throttle();
        $attempt = Attempt::registration($visit->source);
        $verdict = $throttle->begin($attempt);
        if (!$verdict->allowed) {
            return Outcome::wait($verdict->retryAfterS);
        }
        ($this->services->pause)($verdict->delayMs);
        try {
            $outcome = $areNew()
                ? $this->services->registration()->register($this->applicant($visit), $pictures, $visit->source)
                : Outcome::refused();
        } catch (\Throwable $error) {
            $throttle->failed($attempt);
            throw $error;
        }
        match ($outcome->kind) {
            OutcomeKind::Done => $throttle->succeeded($attempt),
            OutcomeKind::Quality, OutcomeKind::Unavailable => $throttle->refunded($attempt),
            default => $throttle->failed($attempt),
        };
        return $outcome;
    }

    private function applicant(Visit $visit): Applicant
    {
        $request = $visit->request;
        $invited = $this->services->config->web->registration === 'invite';
        return new Applicant(
            $request->field('name'),
            $request->field('email'),
            $this->services->passwords()->hash($request->field('password')),
            self::consentVersion($this->services->config),
            $invited ? $request->field('invite') : null,
        );
    }

    /** @return array<string, string> field -> reason */
    private function faults(Visit $visit): array
    {
        $request = $visit->request;
        $faults = array_filter([
            'name' => self::reason(fn () => Entries::name($request->field('name'))),
            'email' => self::reason(fn () => Entries::email($request->field('email'))),
            'password' => $this->services->passwords()->objection($request->field('password')),
            'consent' => $request->field('consent') === '1' ? null : 'missing',
        ]);
        $needsInvite = $this->services->config->web->registration === 'invite';
        if ($needsInvite && !$this->services->invites()->isUsable($request->field('invite'))) {
            $faults['invite'] = 'unknown';
        }
        return $faults;
    }

    /** @param \Closure(): string $entry */
    private static function reason(\Closure $entry): ?string
    {
        try {
            $entry();
            return null;
        } catch (InvalidEntry $invalid) {
            return $invalid->reason;
        }
    }
}
