<?php

/**
 * Owns the challenge that a session is at: asks the daemon for one on behalf of a login's nonce, and holds what comes
 * back to it before anything is asked of the daemon. One at a time: the latest counts, each step once, and one answer.
 * Decides on nobody; the daemon judges.
 */

declare(strict_types=1);

namespace FaceWeb;

use FaceWeb\FaceServer\FaceServer;
use FaceWeb\FaceServer\LivenessAnswer;
use FaceWeb\FaceServer\LivenessChallenge;
use FaceWeb\FaceServer\LivenessStep;
use FaceWeb\FaceServer\Refused;
use FaceWeb\Security\Clock;

final class Liveness
{
    public const OFF = 'off';
    private const KEY = 'challenge';

    public function __construct(
        private readonly FaceServer $faceServer,
        private readonly Session $session,
        private readonly Clock $clock,
        private readonly string $mode,
        private readonly string $loginMode,
    ) {
    }

    public function isOn(): bool
    {
        return $this->mode !== self::OFF;
    }

    /**
     * What the login of this nonce must answer. Whoever gets none cannot log in by face.
     *
     * @throws Refused and Unreachable as FaceServer
     */
    public function challenge(string $nonce, bool $flash): LivenessChallenge
    {
        $purpose = $this->loginMode === Login::FACE ? 'identify' : 'verify';
        try {
            $challenge = $this->faceServer->challenge($purpose, $this->mode, $nonce, $flash);
        } catch (Refused $refused) {
            $this->explain($refused);
            throw $refused;
        }
        $this->session->set(self::KEY, [
            'id' => $challenge->id,
            'nonce' => $nonce,
            'at' => $this->clock->now(),
            'kinds' => array_map(static fn (LivenessStep $step): string => $step->kind, $challenge->steps),
            'frames_per_step' => $challenge->framesPerStep,
            'told' => 0,
        ]);
        return $challenge;
    }

    /**
     * The challenge of this session whose next step is done; null where it is not the one, or not its next. The latest
     * may be told of again, by a page that heard nothing: the daemon knows whether in the same words.
     */
    public function advanced(string $id, int $step): ?OpenChallenge
    {
        $open = $this->session->get(self::KEY);
        $isNext = is_array($open) && $open['id'] === $id && in_array($step, [$open['told'], $open['told'] - 1], true);
        if (!$isNext || $step < 0 || $step > count($open['kinds'])) {
            return null;
        }
        $this->session->set(self::KEY, ['told' => $step + 1] + $open);
        return self::opened($open);
    }

    /**
     * Tells the daemon by their hashes of the pictures of a step that is done.
     *
     * @param list<string> $sha256s
     * @throws Refused and Unreachable as FaceServer
     */
    public function tell(OpenChallenge $challenge, int $step, array $sha256s): void
    {
        $answer = $challenge->answer;
        $this->faceServer->stepDone($answer->challenge, $answer->binding, $step, $sha256s);
    }

    /** The challenge of this session that is answered, which nobody answers again; null where it is not the one. */
    public function taken(string $id, string $nonce): ?OpenChallenge
    {
        $open = $this->session->take(self::KEY);
        return is_array($open) && $open['id'] === $id && $open['nonce'] === $nonce ? self::opened($open) : null;
    }

    /** @param array{id: string, nonce: string, at: int, kinds: list<string>, frames_per_step: int} $open */
    private static function opened(array $open): OpenChallenge
    {
        $answer = new LivenessAnswer($open['id'], $open['nonce'], self::frameSteps($open));
        return new OpenChallenge($answer, $open['kinds'], $open['frames_per_step'], $open['at']);
    }

    /**
     * The step of each picture: as many of each as were asked for, and in their order.
     *
     * @param array{kinds: list<string>, frames_per_step: int} $open
     * @return list<int>
     */
    private static function frameSteps(array $open): array
    {
        $steps = array_map(
            static fn (int $step): array => array_fill(0, $open['frames_per_step'], $step),
            range(0, count($open['kinds'])),
        );
        return array_merge(...$steps);
    }

    private function explain(Refused $refused): void
    {
        if (in_array($refused->errorCode, ['malformed', 'unknown_command'], true)) {
            error_log("liveness: nobody can log in by face: the daemon cannot judge as [web] liveness = $this->mode "
                . 'asks. Run ./scripts/setup where the daemon is, which fetches the network fr-liveness, and start it '
                . 'anew; or set [web] liveness = active, which needs no network.');
        }
    }
}
