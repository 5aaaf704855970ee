<?php

/** How a request with pictures or a password ended; the values are the codes of the JSON answers. */

declare(strict_types=1);

namespace FaceWeb;

enum OutcomeKind: string
{
    case Done = 'done';
    /** The one answer for every face or password that is not accepted. */
    case Refused = 'refused';
    /** The pictures do not do; nothing is said about whom they show. */
    case Quality = 'quality';
    /** They do not show a living person who does what was asked; nothing is said about whom they show. */
    case NotLive = 'not_live';
    /** What was asked may be answered no more. */
    case Late = 'nonce';
    case Wait = 'wait';
    /** Something in the form must be mended. */
    case Form = 'form';
    case Unavailable = 'unavailable';
}
