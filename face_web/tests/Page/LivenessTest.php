<?php

/** Logins by the camera where [web] liveness is on: what is asked, what is taken for an answer, and what each no says. */

declare(strict_types=1);

namespace FaceWeb\Tests\Page;

use FaceWeb\FaceServer\Refused;
use FaceWeb\Tests\Support\ScriptedFaceServer;
use FaceWeb\Tests\Support\SiteCase;

final class LivenessTest extends SiteCase
{
    protected function setUp(): void
    {
        parent::setUp();
        $this->configure('liveness = both');
        $this->person('ada@example.org', 'ada');
    }

    public function testAsShippedALoginIsAskedForBoth(): void
    {
        file_put_contents("$this->directory/config.ini", "[web]\naudit_key_file = audit.key\n");
        $this->begin();
        self::assertSame([['identify', 'both', false]], $this->daemon->challenged);
    }

    /** @dataProvider modes */
    public function testALoginIsAskedAsTheOperatorSaysAndTheFaceThatAnswersComesIn(
        string $loginMode,
        string $liveness,
        string $command,
        string $location,
    ): void {
        $this->configure("login_mode = $loginMode\nliveness = $liveness");
        $begun = $this->begin();
        self::assertSame([[$command, $liveness, false]], $this->daemon->challenged);
        self::assertSame(['id', 'steps', 'frames_per_step', 'step_s', 'expires_s'], array_keys($begun['challenge']));
        $steps = $liveness === 'passive' ? [] : [['step' => 'turn_left'], ['step' => 'look_up']];
        self::assertSame($steps, $begun['challenge']['steps']);
        $answer = $this->answer($begun, $this->burst($begun), ['email' => 'ada@example.org']);
        self::assertSame(['ok' => true, 'location' => $location], $answer);
        $told = $steps === [] ? [] : ['step', 'step', 'step'];
        self::assertSame(['challenge', ...$told, $command], $this->daemon->asked);
        self::assertSame($loginMode !== 'face_then_password', $this->isIn());
    }

    /** @return iterable<array{string, string, string, string}> */
    public function modes(): iterable
    {
        foreach (['passive', 'active', 'both'] as $liveness) {
            yield "face, $liveness" => ['face', $liveness, 'identify', '/account'];
            yield "email_face, $liveness" => ['email_face', $liveness, 'verify', '/account'];
            yield "face_then_password, $liveness" => ['face_then_password', $liveness, 'verify', '/login/second'];
        }
    }

    public function testColoursFlashOnlyWhereThePageAsksForThem(): void
    {
        $flashing = $this->begin(['flash' => true])['challenge']['steps'][1];
        self::assertSame(['step' => 'flash', 'colour' => '#ff2020'], $flashing);
        foreach (['true', 1, null, 'no'] as $flash) {
            self::assertSame(['step' => 'look_up'], $this->begin(['flash' => $flash])['challenge']['steps'][1]);
        }
    }

    public function testRegistrationsAndCapturesAndSitesWithoutLivenessAskForNothing(): void
    {
        self::assertArrayNotHasKey('challenge', $this->begin(['purpose' => 'register']));
        self::assertArrayNotHasKey('challenge', $this->begin(['purpose' => 'captures']));
        $this->configure('liveness = off');
        self::assertArrayNotHasKey('challenge', $this->begin());
        self::assertSame([], $this->daemon->asked);
    }

    /**
     * @dataProvider noAnswers
     * @param array<string, string> $form
     */
    public function testWhatIsNoAnswerToTheChallengeIsRefusedBeforeAFaceIsLookedAt(array $form, int $frames): void
    {
        $begun = $this->begin();
        $pictures = ScriptedFaceServer::burst('ada', $frames);
        $form += [
            'nonce' => $begun['nonce'],
            'challenge' => $begun['challenge']['id'],
            'frame_steps' => '0,0,0,1,1,1,2,2,2',
        ];
        $response = $this->post('/login/face', $form, ['frames' => $pictures]);
        self::assertSame([400, 'bad_request'], [$response->status, $this->json($response)['code']]);
        self::assertSame(['challenge'], $this->daemon->asked);
        self::assertFalse($this->isIn());
    }

    /** @return array<string, array{array<string, string>, int}> */
    public function noAnswers(): array
    {
        return [
            'no challenge' => [['challenge' => '', 'frame_steps' => ''], 9],
            'a burst as without liveness' => [['challenge' => '', 'frame_steps' => ''], 3],
            'no steps' => [['frame_steps' => ''], 9],
            'a step is missing' => [['frame_steps' => '0,0,0,1,1,1'], 6],
            'a step twice' => [['frame_steps' => '0,0,0,1,1,1,2,2,2,2,2,2'], 12],
            'a step that was not asked' => [['frame_steps' => '0,0,0,1,1,1,3,3,3'], 9],
            'out of order' => [['frame_steps' => '0,0,0,2,2,2,1,1,1'], 9],
            'of straight ahead alone' => [['frame_steps' => '0,0,0,0,0,0,0,0,0'], 9],
            'numbers of another kind' => [['frame_steps' => '0,0,0,1,1,1,2,2,2.0'], 9],
            'more pictures than numbers' => [[], 10],
            'fewer pictures than numbers' => [[], 8],
            'no picture at all' => [[], 0],
            'more than any challenge has' => [['frame_steps' => implode(',', array_fill(0, 25, '0'))], 25],
        ];
    }

    public function testEachStepIsToldToTheDaemonAsItComesByTheHashesOfItsPictures(): void
    {
        $begun = $this->begin();
        $pictures = $this->burst($begun);
        self::assertTrue($this->answer($begun, $pictures)['ok']);
        $hashes = array_map(static fn (string $one): string => hash('sha256', $one), $pictures);
        self::assertSame([$begun['challenge']['id'] => array_chunk($hashes, 3)], $this->daemon->told);
        self::assertSame(['challenge', 'step', 'step', 'step', 'identify'], $this->daemon->asked);
    }

    public function testPicturesOfWhichNoStepToldAreNotLive(): void
    {
        $begun = $this->begin();
        $answer = $this->answerAlone($begun, $this->burst($begun));
        self::assertSame('not_live', $answer['code']);
        self::assertStringStartsWith('The pictures changed on their way.', $answer['message']);
    }

    public function testAStepMayBeToldOfAgain(): void
    {
        $begun = $this->begin();
        foreach ([0, 0, 1, 1] as $step) {
            self::assertSame(['ok' => true], $this->tell($begun, $step, array_fill(0, 3, hash('sha256', "$step"))));
        }
    }

    public function testADaemonThatIsAwayForAStepCostsNobodyAChallenge(): void
    {
        foreach (range(1, 35) as $ignored) {
            $begun = $this->begin();
            $this->daemon->failBefore = ['step' => ScriptedFaceServer::away()];
            self::assertSame('unavailable', $this->tell($begun, 0)['code']);
            $this->daemon->failBefore = [];
        }
    }

    /**
     * @dataProvider wrongSteps
     * @param list<int> $steps
     */
    public function testAStepIsToldOfOnceAndInItsPlace(array $steps): void
    {
        $begun = $this->begin();
        foreach (array_slice($steps, 0, -1) as $step) {
            self::assertSame(['ok' => true], $this->tell($begun, $step));
        }
        $asked = $this->daemon->asked;
        self::assertSame('nonce', $this->tell($begun, end($steps))['code']);
        self::assertSame($asked, $this->daemon->asked, 'the daemon hears nothing of it');
    }

    /** @return array<string, array{list<int>}> */
    public function wrongSteps(): array
    {
        return ['the first left out' => [[1]], 'one before the last' => [[0, 1, 0]], 'one left out' => [[0, 2]],
            'one too many' => [[0, 1, 2, 3]], 'before the first' => [[-1]]];
    }

    public function testAStepOfAnotherChallengeIsNone(): void
    {
        $before = $this->begin();
        $now = $this->begin();
        self::assertSame('nonce', $this->tell($before, 0)['code']);
        self::assertSame(['ok' => true], $this->tell($now, 0), 'and this one goes on');
        $this->newBrowser();
        self::assertSame('nonce', $this->tell($now, 1)['code']);
    }

    public function testWhatTheDaemonSaysOfAStepIsSaidAtOnceAndCountsAsNoFailure(): void
    {
        $answers = [
            ['not_live', ['check' => 'too_slow', 'step' => 1], 'not_live', 'That took too long.'],
            ['challenge_unknown', [], 'nonce', 'That took too long.'],
            ['busy', [], 'unavailable', 'Face recognition'],
        ];
        foreach (range(1, 3) as $ignored) {
            foreach ($answers as [$code, $detail, $told, $message]) {
                $this->daemon->failBefore = ['step' => Refused::because($code, '', $detail)];
                $answer = $this->tell($this->begin(), 0);
                self::assertSame([false, $told], [$answer['ok'], $answer['code']]);
                self::assertStringStartsWith($message, $answer['message']);
            }
        }
        $this->daemon->failBefore = ['step' => ScriptedFaceServer::away()];
        self::assertSame('unavailable', $this->tell($this->begin(), 0)['code']);
        $this->daemon->failBefore = [];
        self::assertTrue($this->answer($this->begin())['ok']);
    }

    public function testAnAnswerCountsOnceAndForItsOwnNonceAndSession(): void
    {
        $begun = $this->begin();
        self::assertSame('not_live', $this->answerDead($begun)['code']);
        self::assertSame('nonce', $this->answer($begun)['code']);
        // The latest challenge of a session is the one that counts.
        $first = $this->begin();
        $second = $this->begin();
        self::assertSame('nonce', $this->answer($first)['code']);
        self::assertSame('nonce', $this->answer($second)['code'], 'used up by the try with the other');
        // The one's nonce with the other's challenge.
        $first = $this->begin();
        $second = $this->begin();
        self::assertSame('nonce', $this->answer(['nonce' => $first['nonce']] + $second)['code']);
        // Of another browser.
        $stolen = $this->begin();
        $this->newBrowser();
        self::assertSame('nonce', $this->answer($stolen)['code']);
        $own = $this->begin();
        self::assertSame('nonce', $this->answer(['challenge' => $stolen['challenge']] + $own)['code']);
        // Of nobody.
        $begun = $this->begin();
        $begun['challenge']['id'] = str_repeat('0', 32);
        self::assertSame('nonce', $this->answer($begun)['code']);
        self::assertSame(['identify'], array_values(array_diff($this->daemon->asked, ['challenge', 'step'])));
        self::assertFalse($this->isIn());
    }

    public function testAChallengeThatTheDaemonKnowsNoMoreIsAMatterOfTimeAndNoFailure(): void
    {
        foreach (range(1, 6) as $ignored) {
            $begun = $this->begin();
            $this->daemon->challenges = [];
            $answer = $this->answer($begun);
            self::assertSame('nonce', $answer['code']);
            self::assertSame('That took too long. Please take the pictures again.', $answer['message']);
        }
        self::assertTrue($this->answer($this->begin())['ok']);
    }

    public function testWhoeverIsNotLiveIsAdvisedAtOnceAndCountedInEveryMode(): void
    {
        foreach (['face', 'email_face', 'face_then_password'] as $mode) {
            $this->configure("login_mode = $mode\nliveness = both");
            $this->database->execute('DELETE FROM throttle');
            foreach (range(1, 5) as $ignored) {
                $answer = $this->answerDead($this->begin());
                self::assertSame(['step', 'ok', 'code', 'message', 'nonce'], array_keys($answer));
                self::assertSame([false, 'not_live', 1], [$answer['ok'], $answer['code'], $answer['step']]);
                $advice = 'Turn your head a little further to your right when you are asked to.';
                self::assertSame($advice, $answer['message']);
            }
            $asked = $this->daemon->asked;
            $answer = $this->json($this->capture(['purpose' => 'login']));
            self::assertSame(['wait', 30], [$answer['code'], $answer['retry_after_s']], 'before anybody moves');
            self::assertSame($asked, $this->daemon->asked);
            self::assertFalse($this->isIn());
            self::assertSame(303, $this->get('/login/second')->status);
            $logged = $this->services->audit()->recent(1)[0];
            self::assertSame('login_refused', $logged->event);
            self::assertSame(['by' => 'face', 'why' => 'not_live'], $logged->detail());
        }
    }

    public function testAKnownAndAnUnknownEmailCostTheSameAndAreToldTheSame(): void
    {
        $this->configure("login_mode = email_face\nliveness = both");
        foreach (['dead' => 'not_live', 'wrong' => 'refused'] as $how => $code) {
            $told = [];
            foreach (['ada@example.org', 'nobody@example.org'] as $email) {
                $this->daemon->asked = [];
                $this->daemon->notLive = $how === 'dead' ? ['check' => 'relief', 'step' => 1] : null;
                $answer = $this->answer($this->begin(), ScriptedFaceServer::burst('eve', 9), ['email' => $email]);
                self::assertSame($code, $answer['code']);
                $told[] = [array_diff_key($answer, ['nonce' => 1]), $this->daemon->asked];
            }
            self::assertSame($told[0], $told[1]);
        }
    }

    public function testALoginThatForgetsWhatWasAskedIsNobodys(): void
    {
        $this->expectException(\LogicException::class);
        $frames = ScriptedFaceServer::burst('ada');
        $this->services->login()->byFace('s', 'ada@example.org', $frames, static fn (): bool => true, null);
    }

    /** @dataProvider checks */
    public function testEveryCheckHasItsAdviceAndNoneTellsWhatWasMeasured(
        string $check,
        ?int $step,
        string $advice,
    ): void {
        $begun = $this->begin();
        $at = $step === null ? [] : ['step' => $step];
        $this->daemon->notLive = ['check' => $check, 'advice' => 'score 0.1 of 0.2'] + $at;
        $answer = $this->answer($begun);
        self::assertStringStartsWith($advice, $answer['message']);
        self::assertSame($step, $answer['step'] ?? null);
    }

    /** @return list<array{string, ?int, string}> */
    public function checks(): array
    {
        return [
            ['too_soon', null, 'That was too quick.'],
            ['too_slow', 2, 'That took too long.'],
            ['told', null, 'The pictures changed on their way.'],
            ['missing', 2, 'Do every step'],
            ['identical', null, 'The camera gave one picture twice.'],
            ['seen', null, 'These pictures were sent before.'],
            ['person', 1, 'Be alone in the picture'],
            ['continuity', 0, 'Move slowly'],
            ['steps', 1, 'Turn your head a little further to your right'],
            ['steps', 2, 'Look up a little further'],
            ['steps', null, 'Do each step a little further'],
            ['steps', 7, 'Do each step a little further'],
            ['too_far', 1, 'Turn or nod a little less far'],
            ['relief', 1, 'Turn your head itself'],
            ['flash', 2, 'Hold still while the screen'],
            ['passive', 0, 'Seek even light'],
            ['of a later daemon', 1, 'That was not seen as it was asked.'],
            ['', null, 'That was not seen as it was asked.'],
        ];
    }

    public function testADaemonThatCannotJudgeLetsNobodyInAndTheOperatorReadsWhatToDo(): void
    {
        $this->daemon->failBefore['challenge'] = Refused::because('malformed', 'This daemon has no passive network');
        foreach (range(1, 40) as $ignored) {
            $response = $this->capture(['purpose' => 'login']);
            $answer = $this->json($response);
            self::assertSame([503, 'unavailable'], [$response->status, $answer['code']], 'and never a wait');
            self::assertArrayNotHasKey('nonce', $answer);
        }
        $log = (string) file_get_contents("$this->directory/error.log");
        self::assertStringContainsString('Run ./scripts/setup where the daemon is', $log);
        self::assertSame(400, $this->post('/login/face', ['nonce' => $this->nonceAlone()], [
            'frames' => ScriptedFaceServer::burst('ada'),
        ])->status);
        self::assertFalse($this->isIn());
    }

    public function testWhoAsksForChallengesAndAnswersNoneHasToWait(): void
    {
        foreach (range(1, 30) as $ignored) {
            $this->begin();
        }
        $answer = $this->json($this->capture(['purpose' => 'login']));
        self::assertSame(['ok', 'code', 'message', 'retry_after_s'], array_keys($answer));
        self::assertSame(['wait', 600], [$answer['code'], $answer['retry_after_s']]);
        self::assertArrayHasKey('nonce', $this->json($this->capture(['purpose' => 'register'])));
        $this->clock->advance(600);
        self::assertTrue($this->answer($this->begin())['ok']);
    }

    public function testWhoAnswersMayComeAsOftenAsBefore(): void
    {
        foreach (range(1, 40) as $ignored) {
            $this->newBrowser();
            self::assertTrue($this->answer($this->begin())['ok']);
        }
    }

    /**
     * @param array<string, mixed> $wishes
     * @return array<string, mixed>
     */
    private function begin(array $wishes = []): array
    {
        $response = $this->capture($wishes + ['purpose' => 'login']);
        self::assertSame(200, $response->status, $response->body);
        return $this->json($response);
    }

    /** @param array<string, mixed> $begun */
    private function burst(array $begun): array
    {
        return ScriptedFaceServer::burst('ada', 3 * (1 + count($begun['challenge']['steps'])));
    }

    /**
     * @param array<string, mixed> $begun
     * @param list<string>|null $pictures
     * @param array<string, string> $form
     * @return array<string, mixed>
     */
    private function answer(array $begun, ?array $pictures = null, array $form = ['email' => 'ada@example.org']): array
    {
        $pictures ??= $this->burst($begun);
        if ($begun['challenge']['steps'] !== []) {
            foreach (array_chunk($pictures, 3) as $step => $three) {
                $this->tell($begun, $step, array_map(static fn (string $one): string => hash('sha256', $one), $three));
            }
        }
        return $this->answerAlone($begun, $pictures, $form);
    }

    /**
     * Without a word of the steps before.
     *
     * @param array<string, mixed> $begun
     * @param list<string> $pictures
     * @param array<string, string> $form
     * @return array<string, mixed>
     */
    private function answerAlone(
        array $begun,
        array $pictures,
        array $form = ['email' => 'ada@example.org'],
    ): array {
        $numbers = array_map(
            static fn (int $step): string => "$step,$step,$step",
            range(0, count($begun['challenge']['steps'])),
        );
        $form += [
            'nonce' => $begun['nonce'],
            'challenge' => $begun['challenge']['id'],
            'frame_steps' => implode(',', $numbers),
        ];
        return $this->json($this->post('/login/face', $form, ['frames' => $pictures]));
    }

    /**
     * @param array<string, mixed> $begun
     * @param list<string>|null $hashes
     * @return array<string, mixed>
     */
    private function tell(array $begun, int $step, ?array $hashes = null): array
    {
        $hashes ??= array_fill(0, 3, hash('sha256', random_bytes(8)));
        $said = ['challenge' => $begun['challenge']['id'], 'step' => $step, 'sha256s' => $hashes];
        return $this->json($this->postJson('/capture/step', $said));
    }

    /**
     * @param array<string, mixed> $begun
     * @return array<string, mixed>
     */
    private function answerDead(array $begun): array
    {
        $this->daemon->notLive = ['check' => 'steps', 'step' => 1];
        $answer = $this->answer($begun);
        $this->daemon->notLive = null;
        return $answer;
    }

    private function nonceAlone(): string
    {
        return $this->services->nonces()->issue($this->services->session()->key(), 'login');
    }
}
