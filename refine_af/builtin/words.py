"""Word lists of the programmatic skills: short, common words that become single tokens."""

from __future__ import annotations


def _w(text: str) -> tuple[str, ...]:
    return tuple(text.split())


ANIMALS = _w(
    "cat dog horse cow pig sheep goat lion tiger bear wolf fox deer rabbit mouse rat frog toad"
    " snake lizard turtle duck goose hen eagle hawk owl crow swan parrot robin whale shark"
    " dolphin seal crab salmon trout bee ant wasp moth fly spider camel zebra donkey monkey"
    " panda otter beaver badger squirrel hamster kitten puppy"
)
FRUITS = _w(
    "apple pear plum peach cherry grape lemon lime mango melon banana fig date kiwi apricot"
    " papaya coconut raspberry"
)
VEGETABLES = _w(
    "carrot potato onion cabbage spinach pea bean turnip leek garlic celery radish pumpkin"
    " lettuce cucumber broccoli"
)
COLOURS = _w("red blue green yellow black white brown grey pink purple orange silver")
TOOLS = _w("hammer saw drill wrench chisel shovel rake axe ladder pliers screwdriver spade")
CLOTHES = _w("shirt coat hat scarf glove sock shoe boot dress skirt jacket belt sweater vest cap")
FURNITURE = _w("table chair bed sofa desk shelf bench stool wardrobe cupboard drawer mirror")
VEHICLES = _w("car bus train bike truck boat ship plane van tram taxi ferry scooter canoe tractor")
BODY = _w("arm leg hand foot knee elbow nose ear eye mouth neck shoulder finger toe chin")
INSTRUMENTS = _w("piano violin guitar flute drum trumpet cello harp organ banjo clarinet tuba")
SPORTS = _w("tennis football hockey golf rugby boxing cricket chess swimming rowing judo skiing")
DRINKS = _w("tea coffee milk juice water wine beer cocoa lemonade soda")
FOODS = _w("bread cheese rice soup cake pie pasta butter honey jam egg ham pizza salad sugar salt")
JOBS = _w(
    "baker doctor teacher farmer nurse pilot painter driver singer writer lawyer judge cook"
    " waiter sailor soldier dentist barber plumber gardener tailor builder clerk"
)
MATERIALS = _w("wood stone glass iron paper cotton wool leather brick rubber gold copper clay")
PLACES = _w(
    "park river garden house school market station forest beach church kitchen library hotel"
    " bridge castle museum harbour village hill field tower office cellar lake"
)

CATEGORIES: dict[str, tuple[str, ...]] = {
    "animal": ANIMALS,
    "fruit": FRUITS,
    "vegetable": VEGETABLES,
    "colour": COLOURS,
    "tool": TOOLS,
    "garment": CLOTHES,
    "vehicle": VEHICLES,
    "instrument": INSTRUMENTS,
    "sport": SPORTS,
    "drink": DRINKS,
    "job": JOBS,
    "material": MATERIALS,
}
WITH_ARTICLE: dict[str, str] = {
    ("an " if name[0] in "aeiou" else "a ") + name: name for name in CATEGORIES
}
CATEGORY_PLURAL: dict[str, str] = {name + "s": name for name in CATEGORIES}
CATEGORY_OF: dict[str, str] = {w: name for name, words in CATEGORIES.items() for w in words}

# Nouns that fill neutral lists; each belongs to exactly one class.
NOUNS: tuple[str, ...] = (
    ANIMALS
    + FRUITS
    + VEGETABLES
    + TOOLS
    + CLOTHES
    + FURNITURE
    + VEHICLES
    + BODY
    + INSTRUMENTS
    + FOODS
    + MATERIALS
    + PLACES
)

WOMEN = _w(
    "Anna Mary Julia Clara Emma Laura Sarah Lucy Helen Nina Alice Rosa Eva Ruth Sofia Maria"
    " Kate Jane Olga Vera"
)
MEN = _w(
    "Tom Peter Paul John David Mark James Oscar Leo Adam Frank Hugo Simon Max Ivan Carl Henry"
    " Felix Ben Noah"
)
NAMES: tuple[str, ...] = WOMEN + MEN
CAPITALS: dict[str, str] = dict(
    pair.split(":")
    for pair in _w(
        "France:Paris Italy:Rome Spain:Madrid Germany:Berlin Austria:Vienna Greece:Athens"
        " Poland:Warsaw Norway:Oslo Sweden:Stockholm Russia:Moscow Japan:Tokyo China:Beijing"
        " Egypt:Cairo Cuba:Havana Peru:Lima Portugal:Lisbon Ireland:Dublin Denmark:Copenhagen"
        " Hungary:Budapest Canada:Ottawa Kenya:Nairobi Turkey:Ankara"
    )
)
CITIES: tuple[str, ...] = tuple(CAPITALS.values())
DAYS = _w("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
MONTHS = _w("January February March April May June July August September October November December")
LETTERS = tuple("abcdefghijklmnopqrstuvwxyz")
NUMBER_WORDS = _w(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    " fifteen sixteen seventeen eighteen nineteen twenty"
)
ORDINALS: dict[str, int] = {"second": 2, "third": 3, "fourth": 4}

GOOD = _w("great lovely excellent wonderful perfect delicious brilliant amazing superb fantastic")
BAD = _w("awful terrible horrible bad dreadful boring nasty poor ugly disgusting")
ADJECTIVES = _w("old young small big tall quiet clever lazy brave shy hungry tired proud gentle")
FEELINGS = _w("happy sad angry calm tired hungry nervous proud bored ready late busy sick safe")

# base, third person, past, -ing
_VERBS = (
    "walk walks walked walking|jump jumps jumped jumping|play plays played playing|"
    "cook cooks cooked cooking|look looks looked looking|work works worked working|"
    "help helps helped helping|talk talks talked talking|wait waits waited waiting|"
    "rest rests rested resting|sing sings sang singing|run runs ran running|"
    "sleep sleeps slept sleeping|eat eats ate eating|drink drinks drank drinking|"
    "read reads read reading|write writes wrote writing|swim swims swam swimming|"
    "sit sits sat sitting|fall falls fell falling|go goes went going|come comes came coming|"
    "fly flies flew flying|draw draws drew drawing|speak speaks spoke speaking|"
    "paint paints painted painting|dance dances danced dancing|smile smiles smiled smiling|"
    "travel travels travelled travelling|study studies studied studying|"
    "win wins won winning|buy buys bought buying|teach teaches taught teaching|"
    "think thinks thought thinking|drive drives drove driving|grow grows grew growing|"
    "sell sells sold selling|stand stands stood standing|build builds built building|"
    "clean cleans cleaned cleaning"
)
VERBS: dict[str, tuple[str, str, str]] = {
    row.split()[0]: (row.split()[1], row.split()[2], row.split()[3]) for row in _VERBS.split("|")
}
# Verbs that read well before a place ("walked in the park").
PLACE_VERBS = _w(
    "walk jump play work wait rest sing sleep read swim sit paint dance study stand run smile talk"
)
SEEN_VERBS = _w("cleaned painted bought sold found lost moved carried liked washed")

IRREGULAR_PLURALS: dict[str, str] = {
    "child": "children",
    "man": "men",
    "woman": "women",
    "mouse": "mice",
    "foot": "feet",
    "tooth": "teeth",
    "goose": "geese",
    "leaf": "leaves",
    "knife": "knives",
    "wolf": "wolves",
}
REGULAR_NOUNS = _w(
    "cat dog horse cow pig goat lion tiger bear duck apple pear plum lemon banana carrot onion"
    " hammer table chair bed desk car train boat ship plane shirt coat hat shoe boot arm leg hand"
    " nose piano guitar flute drum river garden house school bridge castle hotel book letter"
    " door window flower teacher doctor farmer baker"
)
PLURALS: dict[str, str] = (
    {w: w + "s" for w in REGULAR_NOUNS}
    | {
        "box": "boxes",
        "bus": "buses",
        "fox": "foxes",
        "dress": "dresses",
        "bench": "benches",
        "church": "churches",
        "city": "cities",
        "baby": "babies",
        "lady": "ladies",
        "cherry": "cherries",
        "berry": "berries",
        "story": "stories",
        "brush": "brushes",
        "glass": "glasses",
        "watch": "watches",
        "party": "parties",
    }
    | IRREGULAR_PLURALS
)
SINGULARS: dict[str, str] = {plural: singular for singular, plural in PLURALS.items()}


def _pairs(text: str) -> dict[str, str]:
    return dict(pair.split(":") for pair in text.split())


_OPPOSITES = _pairs(
    "hot:cold big:small tall:short old:young new:used fast:slow happy:sad rich:poor light:dark"
    " full:empty open:closed clean:dirty wet:dry hard:soft strong:weak loud:quiet early:late"
    " thick:thin wide:narrow sweet:bitter day:night up:down left:right inside:outside"
    " begin:end buy:sell win:lose love:hate laugh:cry push:pull give:take friend:enemy"
    " true:false safe:dangerous brave:afraid sharp:blunt front:back near:far high:low deep:shallow"
)
OPPOSITES: dict[str, str] = _OPPOSITES | {b: a for a, b in _OPPOSITES.items()}
SYNONYMS: dict[str, str] = _pairs(
    "large:huge quick:rapid glad:cheerful start:commence finish:complete smart:clever"
    " angry:furious tired:weary silent:mute ill:unwell pretty:beautiful answer:reply ask:enquire"
    " choose:select fix:repair shout:yell present:gift rock:boulder street:road shop:store"
    " kid:child home:dwelling job:task error:mistake journey:trip forest:woods"
    " scared:frightened wealthy:affluent simple:easy tiny:minute odd:strange correct:exact"
)
BABIES: dict[str, str] = _pairs(
    "cat:kitten dog:puppy cow:calf horse:foal sheep:lamb pig:piglet goat:kid duck:duckling"
    " goose:gosling hen:chick bear:cub lion:cub swan:cygnet deer:fawn frog:tadpole owl:owlet"
)
SOUNDS: dict[str, str] = _pairs(
    "cat:meow dog:bark cow:moo horse:neigh sheep:baa pig:oink duck:quack lion:roar wolf:howl"
    " snake:hiss bee:buzz owl:hoot frog:croak mouse:squeak crow:caw donkey:bray"
)
HOMES: dict[str, str] = _pairs(
    "bee:hive bird:nest dog:kennel horse:stable pig:sty rabbit:burrow spider:web bear:den"
    " lion:den cow:barn fish:pond ant:hill beaver:lodge hen:coop fox:den sheep:fold"
)
JOB_PLACES: dict[str, str] = _pairs(
    "teacher:school doctor:hospital farmer:farm baker:bakery judge:court sailor:ship"
    " waiter:restaurant pilot:airport clerk:office cook:kitchen actor:theatre priest:church"
    " gardener:garden soldier:camp singer:stage chemist:laboratory"
)
RHYMES: tuple[tuple[str, ...], ...] = tuple(
    _w(group)
    for group in (
        "cat hat bat rat",
        "bear pear chair hair",
        "house mouse blouse",
        "tree bee knee sea",
        "night light right kite",
        "cake lake snake rake",
        "ring king sing wing",
        "boat goat coat note",
        "fish dish wish",
        "moon spoon noon soon",
        "rain train plane chain",
        "ball tall wall fall",
        "book cook hook look",
        "gold cold old fold",
        "fox box socks rocks",
        "sand hand land band",
        "dog frog fog log",
        "star car jar far",
    )
)
LIVES_IN: dict[str, str] = (
    dict.fromkeys(
        _w(
            "cat dog horse cow pig sheep goat lion tiger bear wolf fox deer rabbit"
            " camel zebra donkey panda hamster badger"
        ),
        "land",
    )
    | dict.fromkeys(_w("whale shark dolphin seal crab salmon trout"), "water")
    | dict.fromkeys(_w("eagle hawk owl crow parrot robin bee wasp moth fly"), "air")
)
TRAVELS_BY: dict[str, str] = (
    dict.fromkeys(_w("car bus bike truck van taxi scooter tractor"), "road")
    | dict.fromkeys(_w("boat ship ferry canoe"), "water")
    | dict.fromkeys(_w("train tram"), "rail")
)
SEASONS: dict[str, str] = {
    month: ("winter", "spring", "summer", "autumn")[((number % 12) // 3)]
    for number, month in enumerate(MONTHS, start=1)
}
UNIT_FACTS: dict[str, str] = {
    "minutes in an hour": "60",
    "seconds in a minute": "60",
    "hours in a day": "24",
    "days in a week": "7",
    "months in a year": "12",
    "days in April": "30",
    "days in January": "31",
    "weeks in a year": "52",
    "legs on a spider": "8",
    "legs on a dog": "4",
    "legs on an ant": "6",
    "wings on a bird": "2",
    "wheels on a bike": "2",
    "wheels on a car": "4",
    "sides in a triangle": "3",
    "sides in a square": "4",
    "letters in the alphabet": "26",
    "eggs in a dozen": "12",
    "fingers on a hand": "5",
    "strings on a violin": "4",
    "grams in a kilogram": "1000",
    "metres in a kilometre": "1000",
    "cents in a dollar": "100",
    "years in a century": "100",
    "years in a decade": "10",
    "players in a football team": "11",
}
CAUSES: dict[str, str] = {
    "it rained all night": "the ground was wet",
    "the sun was very hot": "the ice melted",
    "the alarm did not ring": "she was late for work",
    "he forgot his coat": "he was cold",
    "the baby was hungry": "the baby cried",
    "the wind was strong": "the tree fell down",
    "she studied every day": "she passed the test",
    "the battery was empty": "the phone went off",
    "he ate too much cake": "his stomach hurt",
    "the road was covered in ice": "the car slid",
    "nobody watered the plants": "the plants died",
    "the glass fell on the floor": "the glass broke",
    "the shop was closed": "we could not buy bread",
    "the dog heard a noise": "the dog barked",
    "he ran very fast": "he was out of breath",
    "the soup was too hot": "she burned her tongue",
    "the lamp was broken": "the room was dark",
    "they trained hard": "they won the game",
    "the train was full": "we had to stand",
    "she lost her key": "she could not open the door",
    "the cook left the oven on": "the bread burned",
    "the film was very sad": "many people cried",
    "the river rose quickly": "the cellar was flooded",
    "he did not sleep": "he was tired",
}
EVENTS = _w("party concert dinner picnic wedding meeting match lunch")
GIFTS = _w("book scarf cake card lamp vase watch plant gloves flowers")
PEOPLE = (
    "my teacher",
    "my sister",
    "my brother",
    "my boss",
    "my friend",
    "my uncle",
    "my aunt",
    "my neighbour",
    "my cousin",
    "a child",
    "a guest",
    "a customer",
    "a student",
    "our club",
    "the school",
    "my class",
    "a visitor",
    "my team",
    "a beginner",
    "my mother",
    "my father",
)
