"""What the demo's questions ask about: facts of common knowledge, and words to spell."""

from __future__ import annotations

from typing import Final

CAPITALS: Final = dict(
    pair.split(":")
    for pair in (
        "France:Paris Italy:Rome Spain:Madrid Japan:Tokyo Egypt:Cairo Peru:Lima Kenya:Nairobi"
        " Norway:Oslo Greece:Athens Cuba:Havana Chile:Santiago Iran:Tehran Nepal:Kathmandu"
        " Poland:Warsaw Austria:Vienna Sweden:Stockholm Finland:Helsinki Portugal:Lisbon"
        " Ireland:Dublin Germany:Berlin Hungary:Budapest Canada:Ottawa Russia:Moscow Iraq:Baghdad"
        " Thailand:Bangkok Vietnam:Hanoi Ghana:Accra Turkey:Ankara Denmark:Copenhagen"
        " Belgium:Brussels"
    ).split()
)

OPPOSITES: Final = tuple(
    tuple(pair.split(":"))
    for pair in (
        "hot:cold big:small up:down day:night wet:dry fast:slow old:new high:low open:closed"
        " rich:poor hard:soft loud:quiet full:empty light:dark happy:sad early:late strong:weak"
        " long:short left:right true:false thick:thin clean:dirty near:far love:hate"
        " first:last win:lose wide:narrow deep:shallow sweet:sour buy:sell"
    ).split()
)

PLURALS: Final = dict(
    pair.split(":")
    for pair in (
        "cat:cats dog:dogs box:boxes mouse:mice child:children man:men woman:women foot:feet"
        " tooth:teeth goose:geese city:cities baby:babies leaf:leaves wolf:wolves knife:knives"
        " bus:buses glass:glasses church:churches story:stories key:keys boy:boys book:books"
        " apple:apples house:houses table:tables river:rivers star:stars tree:trees bird:birds"
        " ship:ships lamp:lamps door:doors ring:rings cloud:clouds wife:wives half:halves"
        " party:parties lady:ladies fox:foxes dish:dishes"
    ).split()
)

COLOURS: Final = dict(
    pair.split(":")
    for pair in (
        "grass:green snow:white coal:black blood:red gold:yellow milk:white lemon:yellow"
        " tomato:red spinach:green chocolate:brown salt:white cucumber:green ruby:red"
        " emerald:green sapphire:blue carrot:orange soot:black banana:yellow cherry:red"
        " lettuce:green cotton:white pumpkin:orange violet:purple cocoa:brown"
    ).split()
)

KINDS_OF_THING: Final = {
    "animal": "dog cat horse cow sheep lion tiger wolf fox bear rabbit mouse goat camel".split(),
    "fruit": "apple banana cherry lemon pear plum grape peach mango melon fig lime".split(),
    "tool": "hammer saw drill wrench chisel pliers spade rake axe shovel".split(),
    "vehicle": "car bus train lorry bicycle tram van truck tractor scooter".split(),
    "metal": "iron copper zinc tin lead nickel silver steel brass bronze".split(),
    "instrument": "piano violin flute drum guitar harp trumpet cello banjo organ".split(),
    "garment": "shirt coat hat scarf glove sock skirt jacket belt jumper".split(),
}

DAYS: Final = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()

MONTHS: Final = (
    "January February March April May June July August September October November December"
).split()

PLAIN_WORDS: Final = (
    "sun map fish road door rain wind moon king queen bread chair stone water field forest"
    " garden winter summer spring letter paper pencil bottle window bridge castle island market"
    " mirror morning evening music number ocean people picture planet pocket prince school"
    " shadow silver sister brother mother father friend simple street student teacher thunder"
    " ticket tunnel valley village yellow candle butter carpet circle corner cousin desert"
    " dinner doctor dragon engine farmer finger flower guitar harbour holiday kitchen"
    " ladder lantern mountain needle orange parcel pepper pillow pirate rocket saddle sailor"
    " signal spider stable temple turtle wagon whale wheel anchor basket beacon button canvas"
    " cellar copper cradle curtain feather fountain hammer helmet hunter jungle kettle kitten"
    " lizard magnet marble meadow monkey motor nephew oyster pebble pigeon puzzle rabbit ribbon"
    " salmon spoon statue sugar swamp tailor timber violin walnut winter wizard"
).split()
"""Words to say, to spell and to take apart (a word may also stand in a table above)."""

LETTERED_WORDS: Final = tuple(dict.fromkeys(w for w in PLAIN_WORDS if 4 <= len(w) <= 6))
"""The words whose letters are asked about: long enough to be work, short enough to be fair."""

SYLLABLE_STARTS: Final = "b c d f g h k l m n p r s t v w z".split()
SYLLABLE_MIDDLES: Final = "a e i o u".split()
SYLLABLE_ENDS: Final = ["", *"n r s t l m d k p".split()]
"""Parts of made-up words ("kovat"), so that letters must be read and not remembered."""
