<?php

declare(strict_types=1);

namespace FaceWeb\Tests\Security;

use FaceWeb\Database;
use FaceWeb\Security\Attempt;
use FaceWeb\Security\Throttle;
use FaceWeb\Security\Verdict;
use FaceWeb\Tests\Database\FreshDatabases;
use LogicException;
use PHPUnit\Framework\TestCase;

final class ThrottleTest extends TestCase
{
    use FreshDatabases;

    private Database $database;
    private Throttle $throttle;

    public function testTheFifthFailureInARowLocksForThirtySecondsAndEachFurtherOneTwiceAsLongUpToFifteenMinutes(): void
    {
        $this->start();
        for ($failure = 1; $failure <= 5; $failure++) {
            self::assertTrue($this->miss(Attempt::face('s'))->allowed, "attempt $failure");
        }
        foreach ([30, 60, 120, 240, 480, 900, 900] as $lockS) {
            self::assertSame($lockS, $this->miss(Attempt::face('s'))->retryAfterS);
            $this->clock->advance($lockS - 1);
            self::assertFalse($this->miss(Attempt::face('s'))->allowed);
            $this->clock->advance(1);
            self::assertTrue($this->miss(Attempt::face('s'))->allowed);
        }
    }

    public function testKnockingAtALockDoesNotProlongIt(): void
    {
        $this->start();
        $this->missTimes(5, Attempt::face(...), 's');
        $this->clock->advance(20);
        $this->missTimes(100, Attempt::face(...), 's');
        self::assertSame(10, $this->miss(Attempt::face('s'))->retryAfterS);
    }

    public function testASourceLeavesThirtyChallengesUnansweredInTenMinutesAndOfOthersAsManyAsItAnswers(): void
    {
        $this->start();
        for ($asked = 0; $asked < 100; $asked++) {
            self::assertSame(0, $this->throttle->awaitChallenge('s'));
            $this->throttle->challengeDone('s', $this->clock->now());
        }
        for ($asked = 0; $asked < 30; $asked++) {
            self::assertSame(0, $this->throttle->awaitChallenge('s'));
        }
        self::assertSame(600, $this->throttle->awaitChallenge('s'));
        self::assertSame(0, $this->throttle->awaitChallenge('another'));
        $this->clock->advance(600);
        self::assertSame(0, $this->throttle->awaitChallenge('s'));
    }

    public function testCountersOutliveTheProcess(): void
    {
        $this->start();
        $this->missTimes(5, Attempt::face(...), 's');
        $this->throttle = new Throttle($this->reopened(), $this->clock);
        self::assertFalse($this->miss(Attempt::face('s'))->allowed);
    }

    public function testALockOfAnAccountIsNotToldAndTheSourcePaysForItAsForAnyOther(): void
    {
        $this->start();
        for ($source = 0; $source < 5; $source++) {
            $this->miss(Attempt::face("s$source", 7));
        }
        $verdict = $this->miss(Attempt::face('fresh', 7));
        self::assertFalse($verdict->allowed);
        self::assertSame(0, $verdict->retryAfterS);
        $this->missTimes(4, Attempt::face(...), 'fresh', 7);
        self::assertSame(30, $this->miss(Attempt::face('fresh', 7))->retryAfterS);
        self::assertSame(30, $this->miss(Attempt::face('fresh', null))->retryAfterS);
    }

    public function testSprayingOverAccountsIsSeenAtTheSource(): void
    {
        $this->start();
        for ($account = 1; $account <= 5; $account++) {
            self::assertTrue($this->miss(Attempt::face('s', $account))->allowed);
            self::assertTrue($this->miss(Attempt::password('s', "$account@example.org"))->allowed);
        }
        self::assertFalse($this->miss(Attempt::face('s', 6))->allowed);
        self::assertFalse($this->miss(Attempt::password('s', '6@example.org'))->allowed);
    }

    public function testFiftyFailuresWithoutASuccessTurnTheFaceOffAndTimeDoesNotTurnItOn(): void
    {
        $this->start();
        for ($failure = 0; $failure < 50; $failure++) {
            self::assertFalse($this->throttle->isFaceOff(7));
            self::assertTrue($this->miss(Attempt::face("s$failure", 7))->allowed, (string) $failure);
            $this->clock->advance(900);
        }
        $this->clock->advance(400 * 86400);
        $this->miss(Attempt::face('other', 8)); // old rows are removed on the way
        self::assertTrue($this->throttle->isFaceOff(7));
        $verdict = $this->miss(Attempt::face('new', 7));
        self::assertSame([false, true, 0], [$verdict->allowed, $verdict->faceOff, $verdict->retryAfterS]);
        $this->throttle->faceOn(7);
        self::assertTrue($this->miss(Attempt::face('new', 7))->allowed);
    }

    public function testAVictimWhoseFaceIsOffStillLogsInByPasswordFromElsewhere(): void
    {
        $this->start();
        for ($round = 0; $round < 100; $round++) {
            $this->miss(Attempt::face("s$round", 7));
            $this->miss(Attempt::password("s$round", 'victim@example.org'));
            $this->missTimes(10, Attempt::password(...), 'attacker', 'victim@example.org');
            $this->clock->advance(60);
        }
        self::assertFalse($this->miss(Attempt::password('attacker', 'victim@example.org'))->allowed);
        $verdict = $this->succeed(Attempt::password('home', 'victim@example.org'), 7);
        self::assertTrue($verdict->allowed);
        self::assertGreaterThan(0, $verdict->delayMs);
        self::assertLessThanOrEqual(2000, $verdict->delayMs);
    }

    public function testThePasswordLockIsOfThePairAndMayBeToldForUnknownEmailsToo(): void
    {
        $this->start();
        $this->missTimes(5, Attempt::password(...), 's', 'unknown@example.org');
        self::assertSame(30, $this->miss(Attempt::password('s', 'unknown@example.org'))->retryAfterS);
        self::assertTrue($this->miss(Attempt::password('t', 'unknown@example.org'))->allowed);
    }

    public function testASuccessEndsTheStreakOfTheAccount(): void
    {
        $this->start();
        for ($failure = 0; $failure < 4; $failure++) {
            $this->miss(Attempt::face("s$failure", 7));
        }
        $this->succeed(Attempt::face('home', 7));
        for ($failure = 0; $failure < 5; $failure++) {
            self::assertTrue($this->miss(Attempt::face("t$failure", 7))->allowed);
        }
        self::assertFalse($this->miss(Attempt::face('u', 7))->allowed);
    }

    public function testAnAttackerDoesNotClearASourceByLoggingIntoAnAccountOfHisOwnBetweenGuesses(): void
    {
        $this->start();
        $guesses = 0;
        for ($round = 0; $round < 300; $round++) {
            for ($try = 0; $try < 4; $try++) {
                $guesses += $this->miss(Attempt::face('s'))->allowed ? 1 : 0;
            }
            $this->succeed(Attempt::face('s'), 666);
            $this->clock->advance(1);
        }
        // 4, cleared once; 5 and then one after 30, 60, 120 seconds.
        self::assertLessThanOrEqual(13, $guesses);
    }

    public function testAnOfficeBehindOneAddressIsClearedByEachOfItsPeople(): void
    {
        $this->start();
        for ($person = 1; $person <= 60; $person++) {
            $this->missTimes(3, Attempt::face(...), 'office');
            self::assertTrue($this->succeed(Attempt::face('office'), $person)->allowed, "person $person");
        }
    }

    public function testASuccessTakesBackItsOwnChargeAlways(): void
    {
        $this->start();
        for ($login = 0; $login < 100; $login++) {
            self::assertTrue($this->succeed(Attempt::face('s'), 7)->allowed);
            self::assertTrue($this->succeed(Attempt::password('s', 'a@example.org'))->allowed);
        }
    }

    public function testAQualityRefusalIsNoFailureButHasALimitOfItsOwn(): void
    {
        $this->start();
        for ($refusal = 0; $refusal < 60; $refusal++) {
            self::assertTrue($this->refund(Attempt::face('s', 7))->allowed, (string) $refusal);
        }
        self::assertSame(600, $this->refund(Attempt::face('s', 7))->retryAfterS);
        self::assertSame(600, $this->refund(Attempt::registration('s'))->retryAfterS);
        self::assertTrue($this->miss(Attempt::password('s', 'a@example.org'))->allowed);
        $this->clock->advance(600);
        self::assertTrue($this->refund(Attempt::face('s', 7))->allowed);
    }

    public function testAQualityRefusalAfterALockLeavesTheStreakAsItWas(): void
    {
        $this->start();
        $this->missTimes(5, Attempt::face(...), 's');
        $this->clock->advance(30);
        self::assertTrue($this->refund(Attempt::face('s'))->allowed);
        self::assertTrue($this->miss(Attempt::face('s'))->allowed);
        self::assertSame(60, $this->miss(Attempt::face('s'))->retryAfterS);
    }

    public function testTheLockOfALaterFailureIsNotEndedByTakingAnEarlierChargeBack(): void
    {
        $this->start();
        $this->missTimes(4, Attempt::face(...), 's');
        $slow = Attempt::face('s');
        $this->throttle->begin($slow);
        $this->clock->advance(31);
        self::assertTrue($this->miss(Attempt::face('s'))->allowed);
        $this->throttle->refunded($slow);
        self::assertSame(30, $this->miss(Attempt::face('s'))->retryAfterS);
    }

    public function testAnHourOfQuietForgetsASource(): void
    {
        $this->start();
        $this->missTimes(4, Attempt::face(...), 's');
        $this->clock->advance(3600);
        $this->missTimes(4, Attempt::face(...), 's');
        self::assertTrue($this->miss(Attempt::face('s'))->allowed);
        self::assertFalse($this->miss(Attempt::face('s'))->allowed);
    }

    public function testAClockThatGoesBackGrantsNothingAndDeniesNothingForEver(): void
    {
        $this->start();
        $this->missTimes(6, Attempt::face(...), 's');
        for ($place = 0; $place < 12; $place++) {
            $this->throttle->allowDetect("session $place", "10.0.0.$place");
        }
        $this->clock->set($this->clock->now() - 10 * 365 * 86400);
        self::assertSame(30, $this->miss(Attempt::face('s'))->retryAfterS);
        self::assertFalse($this->throttle->allowDetect('session', '10.0.0.250'));
        $this->clock->advance(30);
        self::assertTrue($this->throttle->allowDetect('session', '10.0.0.250'));
        self::assertTrue($this->miss(Attempt::face('s'))->allowed);
        self::assertSame(60, $this->miss(Attempt::face('s'))->retryAfterS);
    }

    public function testRegistrationsOfASourceAreLimitedByTheHourAlsoSuccessfulOnes(): void
    {
        $this->start();
        for ($person = 0; $person < 10; $person++) {
            self::assertTrue($this->succeed(Attempt::registration('s'), $person)->allowed);
        }
        self::assertSame(3600, $this->miss(Attempt::registration('s'))->retryAfterS);
        self::assertTrue($this->miss(Attempt::registration('t'))->allowed);
        $this->clock->advance(3600);
        self::assertTrue($this->miss(Attempt::registration('s'))->allowed);
    }

    public function testTheGlobalBrakeSlowsAndNeverDenies(): void
    {
        $this->start();
        for ($source = 0; $source < 200; $source++) {
            self::assertTrue($this->miss(Attempt::face("s$source"))->allowed);
        }
        self::assertSame(2000, $this->throttle->globalDelayMs());
        self::assertSame(2000, $this->succeed(Attempt::face('fresh'), 1)->delayMs);
        $this->clock->advance(60);
        self::assertSame(0, $this->throttle->globalDelayMs());
    }

    public function testDetectionIsLimitedForASessionAndOverAll(): void
    {
        $this->start();
        $allowed = array_map(fn () => $this->throttle->allowDetect('one', '10.0.0.251'), range(1, 5));
        self::assertSame([true, true, true, false, false], $allowed);
        $same = array_map(fn (int $n) => $this->throttle->allowDetect("same $n", '10.0.0.251'), range(1, 5));
        self::assertSame([true, true, true, false, false], $same, 'new sessions give one source no more than six');
        $others = array_map(fn (int $n) => $this->throttle->allowDetect("session $n", "10.0.0.$n"), range(1, 20));
        self::assertCount(6, array_filter($others));
        $this->clock->advance(1);
        self::assertTrue($this->throttle->allowDetect('one', '10.0.0.251'));
    }

    public function testASitesSecretsAreGuessedNoFasterThanPasswords(): void
    {
        $this->start();
        $this->missTimes(5, Attempt::exchange(...), 's', 'shop');
        self::assertSame(30, $this->miss(Attempt::exchange('s', 'shop'))->retryAfterS);
        self::assertTrue($this->succeed(Attempt::exchange('t', 'shop'))->allowed);
    }

    public function testAnAttemptEndsOnceAndOnlyIfItBegan(): void
    {
        $this->start();
        $attempt = Attempt::face('s');
        $this->throttle->begin($attempt);
        $this->throttle->failed($attempt);
        foreach (['failed', 'refunded', 'succeeded'] as $end) {
            try {
                $this->throttle->$end($attempt);
                self::fail("$end was taken");
            } catch (LogicException) {
                self::assertTrue(true);
            }
        }
    }

    public function testAnAttemptThatWasNotAllowedCannotSucceed(): void
    {
        $this->start();
        for ($source = 0; $source < 5; $source++) {
            $this->miss(Attempt::face("s$source", 7));
        }
        $attempt = Attempt::face('t', 7);
        $this->throttle->begin($attempt);
        $this->expectException(LogicException::class);
        $this->throttle->succeeded($attempt);
    }

    public function testOldRowsAreRemovedAndKeysAreHashed(): void
    {
        $this->start();
        for ($source = 0; $source < 20; $source++) {
            $this->miss(Attempt::password("s$source", 'ann@example.org'));
        }
        self::assertStringNotContainsString('ann@', json_encode($this->database->rows('SELECT * FROM throttle')));
        $this->clock->advance(2 * 86400);
        $this->miss(Attempt::face('t'));
        self::assertLessThanOrEqual(2, (int) $this->database->row('SELECT COUNT(*) AS n FROM throttle')['n']);
    }

    /** @dataProvider engines */
    public function testOfManyRequestsAtTheSameTimeOnOneAccountFiveGetIn(string $engine): void
    {
        $this->start($engine);
        $task = ['do' => 'begin', 'times' => 5, 'sources' => 'own', 'kind' => 'face', 'account' => 7];
        self::assertSame(5, array_sum($this->together(8, $task)));
    }

    /** @dataProvider engines */
    public function testOfManyRequestsAtTheSameTimeFromOneSourceFiveGetIn(string $engine): void
    {
        $this->start($engine);
        $task = ['do' => 'begin', 'times' => 5, 'sources' => 'one', 'kind' => 'password'];
        self::assertSame(5, array_sum($this->together(8, $task)));
    }

    /** @dataProvider engines */
    public function testOfManyRequestsAtTheSameTimeWithOneFailureLeftOneGetsIn(string $engine): void
    {
        $this->start($engine);
        for ($round = 0; $round < 3; $round++) {
            for ($failure = 0; $failure < 4; $failure++) {
                $this->miss(Attempt::face("s$failure", 7));
            }
            $task = ['do' => 'begin', 'times' => 1, 'sources' => 'own', 'kind' => 'face', 'account' => 7];
            self::assertSame(1, array_sum($this->together(10, $task)));
            $this->throttle->faceOn(7);
            $this->clock->advance(3600);
        }
    }

    /** @dataProvider engines */
    public function testRefundsAtTheSameTimeLoseNoChargeAndInventNone(string $engine): void
    {
        $this->start($engine);
        $this->together(6, ['do' => 'refund', 'times' => 8]);
        for ($failure = 1; $failure <= 5; $failure++) {
            self::assertTrue($this->miss(Attempt::face("t$failure", 7))->allowed, "after the refunds, $failure");
        }
        self::assertFalse($this->miss(Attempt::face('u', 7))->allowed);
    }

    /** @dataProvider engines */
    public function testTheBudgetOfDetectionHoldsForManyProcesses(string $engine): void
    {
        $this->start($engine);
        $allowed = $this->together(6, ['do' => 'detect', 'times' => 6]);
        self::assertSame(12, array_sum($allowed));
        self::assertLessThanOrEqual(3, max($allowed));
    }

    private function start(string $engine = 'sqlite'): void
    {
        $this->database = $this->database($engine);
        $this->throttle = new Throttle($this->database, $this->clock);
    }

    private function miss(Attempt $attempt): Verdict
    {
        $verdict = $this->throttle->begin($attempt);
        if ($verdict->retryAfterS === 0) {
            $this->throttle->failed($attempt);
        }
        return $verdict;
    }

    private function missTimes(int $times, callable $attempt, int|string|null ...$of): void
    {
        for ($failure = 0; $failure < $times; $failure++) {
            $this->miss($attempt(...$of));
        }
    }

    private function succeed(Attempt $attempt, ?int $accountId = null): Verdict
    {
        $verdict = $this->throttle->begin($attempt);
        if ($verdict->allowed) {
            $this->throttle->succeeded($attempt, $accountId);
        }
        return $verdict;
    }

    private function refund(Attempt $attempt): Verdict
    {
        $verdict = $this->throttle->begin($attempt);
        if ($verdict->retryAfterS === 0) {
            $this->throttle->refunded($attempt);
        }
        return $verdict;
    }
}
