<?php

/** What a reply means to the site: golden replies, and every way in which one may be wrong. None of these is a match. */

declare(strict_types=1);

namespace FaceWeb\Tests\FaceServer;

use FaceWeb\FaceServer\Answers;
use FaceWeb\FaceServer\Garbled;
use FaceWeb\FaceServer\LivenessStep;
use FaceWeb\FaceServer\Reply;
use PHPUnit\Framework\TestCase;

final class AnswersTest extends TestCase
{
    private static function golden(string $name): Reply
    {
        return new Reply(Vectors::one('replies', $name)['json']);
    }

    public function testPingTellsWhetherTheDaemonIsReady(): void
    {
        self::assertTrue(Answers::isReady(self::golden('ping')));
        self::assertFalse(Answers::isReady(new Reply(['version' => '1', 'ready' => false])));
    }

    public function testDetectTellsTheFacesAndTheSizeOfThePicture(): void
    {
        $detection = Answers::detection(self::golden('detect with two faces'));
        self::assertSame([640, 480], [$detection->width, $detection->height]);
        self::assertCount(2, $detection->faces);
        self::assertSame([10.25, 20.5, 110.75, 140.0], $detection->faces[0]->box);
        self::assertSame([45.0, 105.0], $detection->faces[0]->landmarks[3]);
        self::assertSame(0.998877, $detection->faces[0]->confidence);
    }

    public function testDetectWithoutAFaceIsNoError(): void
    {
        self::assertSame([], Answers::detection(self::golden('detect without a face'))->faces);
    }

    public function testWholeNumbersOfABoxAreNumbersToo(): void
    {
        $face = ['box' => [0, 1, 2, 3], 'landmarks' => array_fill(0, 5, [1, 2]), 'confidence' => 1];
        $detection = Answers::detection(new Reply(['width' => 4, 'height' => 4, 'faces' => [$face]]));
        self::assertSame([0.0, 1.0, 2.0, 3.0], $detection->faces[0]->box);
    }

    public function testEnrolTellsWhatBecameOfEachImage(): void
    {
        $reply = self::golden('enrol with one accepted and one refused image');
        $enrolment = Answers::enrolment($reply, 'anna', 2);
        self::assertSame(3, $enrolment->templates);
        self::assertSame([17], $enrolment->templateIds());
        [$accepted, $refused] = $enrolment->images;
        self::assertSame([true, 17, false, null], [
            $accepted->accepted, $accepted->templateId, $accepted->duplicate, $accepted->code,
        ]);
        self::assertSame([false, null, 'blurred'], [$refused->accepted, $refused->templateId, $refused->code]);
        self::assertStringStartsWith('Hold still', (string) $refused->message);
    }

    public function testEnrolOfAnotherSubjectOrAnotherNumberOfImagesIsGarbled(): void
    {
        $reply = self::golden('enrol with one accepted and one refused image');
        $this->assertGarbled(static fn () => Answers::enrolment($reply, 'berta', 2));
        $this->assertGarbled(static fn () => Answers::enrolment($reply, 'anna', 3));
    }

    public function testEnrolOfNothingThatIsNotRefusedIsGarbled(): void
    {
        $fields = self::golden('enrol with one accepted and one refused image')->fields();
        $reply = new Reply(['images' => [$fields['images'][1]]] + $fields);
        $this->assertGarbled(static fn () => Answers::enrolment($reply, 'anna', 1));
    }

    public function testIdentifyGivesTheSubjectOfAMatchAndNullOfNone(): void
    {
        self::assertSame('Zoë', Answers::identified(self::golden('identify as the web token is told of a match')));
        self::assertNull(Answers::identified(self::golden('identify as the web token is told of none')));
        self::assertNull(Answers::identified(self::golden('identify as the operator is told of an empty gallery')));
    }

    public function testAnIntegerSubjectIsNoneOfOurs(): void
    {
        $reply = self::golden('identify as the operator is told of a match');
        $this->assertGarbled(static fn () => Answers::identified($reply));
    }

    public function testVerifyIsTrueOnlyOfTheSubjectThatWasAsked(): void
    {
        $reply = self::golden('verify as the web token is told');
        self::assertTrue(Answers::verified($reply, 'anna'));
        $this->assertGarbled(static fn () => Answers::verified($reply, 'berta'));
        self::assertFalse(Answers::verified(new Reply(['match' => false, 'id' => 'anna']), 'anna'));
    }

    public function testAChallengeTellsItsStepsInTheirOrder(): void
    {
        $challenge = Answers::challenge(self::golden('challenge with a turn and a flash'), true);
        self::assertSame('0123456789abcdef0123456789abcdef', $challenge->id);
        $told = array_map(static fn (LivenessStep $step): array => [$step->kind, $step->colour], $challenge->steps);
        self::assertSame([['turn_left', null], ['flash', '#ff2020']], $told);
        self::assertSame([3, 30.0], [$challenge->framesPerStep, $challenge->expiresS]);
        self::assertSame([], Answers::challenge(self::golden('challenge for the network alone'), false)->steps);
    }

    public function testAStepIsKnownWhenTheAnswerIsAboutIt(): void
    {
        $reply = self::golden('a step of a challenge is known');
        self::assertTrue(Answers::stepKnown($reply, 2));
        foreach ([1, 3] as $other) {
            $this->assertGarbled(static fn () => Answers::stepKnown($reply, $other));
        }
    }

    public function testAChallengeThatAsksForLessThanWasWantedIsNone(): void
    {
        $this->assertGarbled(static fn () => Answers::challenge(self::golden('challenge for the network alone'), true));
    }

    /**
     * @dataProvider wrongChallenges
     * @param array<string, mixed> $wrong
     */
    public function testAChallengeThatNobodyCouldAnswerIsNone(array $wrong): void
    {
        $right = self::golden('challenge with a turn and a flash')->fields();
        self::assertCount(2, Answers::challenge(new Reply($right), true)->steps);
        $this->assertGarbled(static fn () => Answers::challenge(new Reply($wrong + $right), true));
    }

    /** @return list<array{array<string, mixed>}> */
    public function wrongChallenges(): array
    {
        $turn = ['step' => 'turn_left'];
        return array_map(static fn (array $wrong): array => [$wrong], [
            ['challenge' => null],
            ['challenge' => ''],
            ['challenge' => str_repeat('0', 31)],
            ['challenge' => str_repeat('G', 32)],
            ['challenge' => 7],
            ['steps' => null],
            ['steps' => 'turn_left'],
            ['steps' => ['turn_left', 'turn_right']],
            ['steps' => [$turn, ['step' => 'stand_on_your_head']]],
            ['steps' => [$turn, ['step' => 'flash']]],
            ['steps' => [$turn, ['step' => 'flash', 'colour' => 'red;background:url(//x)']]],
            ['frames_per_step' => 0, 'max_frames' => 0],
            ['frames_per_step' => -3, 'max_frames' => -9],
            ['frames_per_step' => '3'],
            ['frames_per_step' => 9, 'max_frames' => 27],
            ['max_frames' => 10],
            ['expires_s' => 0],
            ['step_s' => 0],
            ['step_s' => null],
            ['expires_s' => 'soon'],
        ]);
    }

    public function testWhereAChallengeWasAnsweredAReplyThatDoesNotSaySoIsNoMatch(): void
    {
        self::assertSame('Zoë', Answers::identified(new Reply(['match' => true, 'id' => 'Zoë', 'live' => true]), true));
        self::assertTrue(Answers::verified(new Reply(['match' => true, 'id' => 'anna', 'live' => true]), 'anna', true));
        self::assertNull(Answers::identified(new Reply(['match' => false, 'live' => true]), true));
        $silent = new Reply(['match' => true, 'id' => 'anna']);
        $replies = array_map(
            static fn (mixed $live): Reply => new Reply(['match' => true, 'id' => 'anna', 'live' => $live]),
            [null, false, 0, 1, 1.0, 'true', [], [true]],
        );
        foreach ([$silent, ...$replies] as $reply) {
            $this->assertGarbled(static fn () => Answers::identified($reply, true));
            $this->assertGarbled(static fn () => Answers::verified($reply, 'anna', true));
        }
    }

    public function testRemoveIsTrueOnlyOfTheSubjectThatWasAsked(): void
    {
        self::assertTrue(Answers::removed(self::golden('remove one'), 'anna'));
        $this->assertGarbled(static fn () => Answers::removed(self::golden('remove one'), 'berta'));
        $list = self::golden('remove a list with an unknown subject');
        $this->assertGarbled(static fn () => Answers::removed($list, 'anna'));
    }

    public function testAMatchThatIsNotExactlyTrueIsNone(): void
    {
        foreach ([null, 1, 0, 1.0, 'true', 'yes', '', [], [true], ['match' => true]] as $value) {
            $reply = new Reply(['match' => $value, 'id' => 'anna']);
            $this->assertGarbled(static fn () => Answers::identified($reply));
            $this->assertGarbled(static fn () => Answers::verified($reply, 'anna'));
        }
    }

    public function testAMatchWithoutAnIdThatIsAStringIsNone(): void
    {
        foreach ([null, 1, true, 1.5, [], ['anna']] as $value) {
            $reply = new Reply(['match' => true, 'id' => $value]);
            $this->assertGarbled(static fn () => Answers::identified($reply));
            $this->assertGarbled(static fn () => Answers::verified($reply, 'anna'));
        }
    }

    public function testADetectionWithAnythingMissingOrOfAnotherTypeIsGarbled(): void
    {
        $face = ['box' => [0, 1, 2, 3], 'landmarks' => array_fill(0, 5, [1, 2]), 'confidence' => 1];
        $wrongFaces = [
            1, 'x', [], ['box' => [0, 1, 2]] + $face, ['box' => ['x1' => 0, 1, 2, 3]] + $face,
            ['box' => ['0', 1, 2, 3]] + $face, ['landmarks' => [[1, 2]]] + $face,
            ['landmarks' => array_fill(0, 5, [1])] + $face, ['landmarks' => array_fill(0, 5, 1)] + $face,
            ['confidence' => '1'] + $face,
        ];
        foreach ($wrongFaces as $wrong) {
            $reply = new Reply(['width' => 4, 'height' => 4, 'faces' => [$wrong]]);
            $this->assertGarbled(static fn () => Answers::detection($reply));
        }
        foreach ([['faces' => 1], ['faces' => ['a' => $face]], ['width' => 4.0], ['height' => '4']] as $wrong) {
            $reply = new Reply($wrong + ['width' => 4, 'height' => 4, 'faces' => []]);
            $this->assertGarbled(static fn () => Answers::detection($reply));
        }
    }

    private function assertGarbled(\Closure $read): void
    {
        try {
            $got = $read();
        } catch (Garbled $garbled) {
            self::assertNotSame('', $garbled->getMessage());
            return;
        }
        self::fail('taken for an answer: ' . var_export($got, true));
    }
}
