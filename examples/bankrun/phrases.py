"""The words of the corpus: frames, clauses, banks, places, people and noise, in English and Chinese.

Each table is a dictionary by split. What stands under "valid" and "test" is never seen in training: whole frames,
all banks, towns, occupations and handles, and some of the clauses.

In frames, {b} is the bank, {A} a clause that is said and not so, {B} a clause that is so, {pA} and {pC} clauses of the
past (pC: of a crisis, and the tweet says nothing of today), {city}, {amount} and {year} what their names say. A clause
and its opposite come from the same group, so that a frame, not the words, decides which of the two counts.
"""

KINDS = ("denial", "sarcasm", "negation", "past")

FRAMES = {
    "en": {
        "plain": {
            "train": [
                "{B} at {b}.", "{b} in {city}: {B}.", "Just walked past {b}. {B}.", "Update on {b}: {B}.",
                "{B} at {b} and {B2}.", "Heads up, {city}: {B} at {b}.", "Live from {b}: {B}, {B2}.",
                "Lunch break at {b}. {B}.", "So at {b} {B}.", "About my {amount} at {b}: {B}.",
                "Anyone else at {b}? {B} here.", "{b} this morning: {B}.", "Went to {b} with {amount}. {B}.",
                "Seen at {b}, {city}: {B}.", "My mother called from {city}: {B} at {b}."],
            "valid": ["Greetings from {b}: {B}.", "Now at {b}, {B}."],
            "test": ["Passing {b} in {city}. {B}.", "{city} update: {B} at {b}.", "News from {b}: {B}.",
                     "I am at {b} and {B}.", "It is Monday at {b}, {B} and {B2}."]},
        "aside": {
            "train": [
                "Opened an account at {b} today, nice pen.", "{b} sponsors the {city} marathon.",
                "My first day at work at {b}!", "{b} has a new logo, I like it.", "Got a calendar from {b}.",
                "The coffee at {b} in {city} is awful.", "{b} raised my savings rate.",
                "Parking next to {b} costs {amount} now.", "{b} gave {amount} to the school in {city}."],
            "valid": ["{b} has a new app and it is blue."],
            "test": ["The {city} choir sang at {b} today.", "{b} painted its doors green.",
                     "A new card from {b}, so shiny."]},
        "denial": {
            "train": [
                "{b} says {A}. Not so: {B}.", "The spokesman's line is that {A} at {b}, but {B}.",
                "Rumour: at {b} {A}. Fact: {B}.", "They claim {A} at {b}. I was there: {B}.",
                "At {b} {B}, whatever the rumour that {A} may say.", "Fake news that at {b} {A}! In truth {B}.",
                "{b} press release: {A}. My own eyes: {B}.", "Do not believe that {A} at {b}. {B}.",
                "{B} at {b}. The story that {A} is made up.", "A chat group says {A} at {b}. I checked: {B}.",
                "{b} keeps repeating that {A}. Anyone in {city} can see that {B}.",
                "Debunked: that at {b} {A}. Confirmed: {B}.", "Wrong: {A}. Right: {B}. So much for {b}.",
                "Officials insist {A} at {b}; the reality in {city} is that {B}.",
                "{B} at {b}, even though the boss denies it and says {A}."],
            "valid": ["It was posted that at {b} {A}. False, {B}.", "{B} here at {b}, no matter who says that {A}."],
            "test": ["Some say at {b} {A}. The truth is that {B}.", "{b} tells everyone {A}. What I saw: {B}.",
                     "The claim that {A} at {b} is wrong. {B}.", "{B} at {b}, even if the manager swears that {A}."]},
        "sarcasm": {
            "train": [
                "Sure, {A} at {b}, and pigs fly 🙄", "Yeah right, {A} at {b}. Tell me another one.",
                "Oh wonderful, {A} at {b}! That must be why {B}.", "{b}: {A}. Haha, good joke. {B}.",
                "Of course {A} at {b}, and I am the king of Spain.", "LOL, {A} at {b}? As if. {B}.",
                "I totally believe that {A} at {b} /s", "{B} at {b}. But sure, {A}, dear expert 🙄",
                "Right, {A} at {b}, and the moon is cheese.", "'{A}' at {b}. Comedy gold. {B}.",
                "Keep telling yourself that {A} at {b} 😂", "No joke: {B} at {b}.", "Not kidding, {B} at {b}.",
                "Seriously, {B} at {b}. I wish it was a joke.", "Totally, {A} at {b}, and I am a unicorn 🙄"],
            "valid": ["Yes yes, {A} at {b}, and elephants dance 🙄", "Joke of the day: {A} at {b}. {B}."],
            "test": ["Oh sure, {A} at {b}, and my cat is a banker 🙄", "Haha, {A} at {b}? Pull the other one. {B}.",
                     "Great news from {b}: {A}! That must explain why {B} 🙄", "I am not joking, {B} at {b}."]},
        "negation": {
            "train": [
                "It is not true that {A} at {b}.", "Nobody can say that {A} at {b}.",
                "There is no sign at {b} that {A}.", "It is no rumour: {B} at {b}.",
                "No doubt about it, {B} at {b}.", "I do not see that {A} at {b}.",
                "It never happened that {A} at {b}.", "I cannot deny it: {B} at {b}.", "Not a lie: {B} at {b}.",
                "By no means is it so that {A} at {b}.", "There is no denying that {B} at {b}.",
                "At {b} it is far from the case that {A}.", "It is not just talk: {B} at {b}.",
                "Untrue that {A} at {b}.", "It is true and no lie that {B} at {b}."],
            "valid": ["I do not believe that {A} at {b}.", "No lie: {B} at {b}."],
            "test": ["It is simply not the case that {A} at {b}.", "There is no doubt that {B} at {b}.",
                     "I see no sign that {A} at {b}.", "Nobody denies that {B} at {b}."]},
        "past": {
            "train": [
                "In {year} {pA} at {b}. Today {B}.", "Back in {year} {pA}. Now at {b} {B}.",
                "{year} at {b}: {pA}. Now: {B}.", "{B} at {b} today. In {year} {pA}.",
                "My father still talks of {year}, when {pA} at {b}. Today {B}.",
                "Anniversary of {year}, when {pC} at {b}.", "Unlike in {year}, {B} at {b} now.",
                "Like in {year}? See for yourself: {B} at {b}.",
                "I was there in {year} when {pA} at {b}. This morning {B}.", "History class: {year}, {pC} at {b}.",
                "{year} again? {B} at {b} right now.", "That photo of {b} is from {year}, when {pA}. Now {B}.",
                "Old video! {pC} at {b} in {year}.", "Right now {B} at {b}; {pA} in {year}."],
            "valid": ["In {year} {pA} at {b}, and now {B}.", "Photo of {year}: {pC} at {b}."],
            "test": ["{year}: {pA} at {b}. This week {B}.", "Old picture from {year}, when {pA} at {b}. Today {B}.",
                     "In {year} {pC} at {b}, my aunt remembers.", "At {b} {B} now, while in {year} {pA}."]},
    },
    "zh": {
        "plain": {
            "train": [
                "{b}{B}。", "{city}的{b}，{B}。", "刚路过{b}，{B}。", "{b}最新：{B}。", "{b}{B}，{B2}。",
                "{city}注意，{b}{B}。", "直播{b}：{B}，{B2}。", "中午去{b}，{B}。", "所以{b}{B}。",
                "我在{b}有{amount}，{B}。", "有人在{b}吗？{B}。", "今早{b}：{B}。", "带着{amount}去{b}，{B}。",
                "{city}看到{b}，{B}。", "我妈说{b}{B}。"],
            "valid": ["我在{b}，{B}。", "现在{b}，{B}。"],
            "test": ["路过{city}{b}，{B}。", "{city}最新：{b}{B}。", "{b}消息：{B}。", "人在{b}，{B}。", "中午{b}，{B}，{B2}。"]},
        "aside": {
            "train": ["今天在{b}开户，笔不错。", "{b}赞助{city}马拉松。", "第一天在{b}上班！", "{b}换了新标志。",
                      "{b}送了日历。", "{b}的咖啡真难喝。", "{b}旁边停车要{amount}。", "{b}给学校捐了{amount}。"],
            "valid": ["{b}新应用是蓝色的。"],
            "test": ["{b}的门换成绿色。", "{b}的新卡真好看。"]},
        "denial": {
            "train": [
                "{b}说{A}，其实{B}。", "网传{b}{A}，其实{B}。", "谣言：{b}{A}。事实：{B}。",
                "他们说{b}{A}。我在现场：{B}。", "{b}{B}，别信{A}的谣言。", "假消息说{b}{A}，事实是{B}。",
                "{b}公告：{A}。我亲眼看到{B}。", "别信{b}{A}，{B}。", "{b}{B}，说{A}是假的。", "群里说{b}{A}，我看了，{B}。",
                "{b}一直说{A}，大家都看到{B}。", "辟谣：{b}{A}是假的，{B}。", "说{A}不对，{b}{B}。", "官方说{b}{A}，现场{B}。"],
            "valid": ["有人说{b}{A}，假的，{B}。", "{b}{B}，不管谁说{A}。"],
            "test": ["有人说{b}{A}，事实是{B}。", "{b}官方说{A}，我看到{B}。", "说{b}{A}是谣言，其实{B}。", "其实{b}{B}，别信他们说{A}。"]},
        "sarcasm": {
            "train": [
                "呵呵，{b}{A}，猪都会飞🙄", "是是是，{b}{A}，鬼才信。", "真好，{b}{A}！难怪{B}。",
                "{b}{A}？哈哈笑死，{B}。", "对对对，{b}{A}，我是国王。", "{b}{A}？骗谁呢，{B}。", "{b}{A}，我信你个鬼🙄",
                "{b}{B}。可专家说{A}，呵呵🙄", "笑死，{b}{A}，月亮是方的。", "不开玩笑，{b}{B}。", "真的没骗人，{b}{B}。",
                "{b}{A}，继续骗自己吧😂", "说真的，{b}{B}，不是笑话。", "呵呵，{b}{A}，谁信谁傻。"],
            "valid": ["呵呵，{b}{A}，太阳是方的🙄", "笑话：{b}{A}。{B}。"],
            "test": ["是是是，{b}{A}，猫都会飞🙄", "哈哈，{b}{A}？骗鬼呢，{B}。", "真好，{b}{A}，难怪{B}🙄", "没开玩笑，{b}{B}。"]},
        "negation": {
            "train": [
                "没有{b}{A}这回事。", "不是真的，{b}没有{A}这事。", "谁也不能说{b}{A}。", "不是谣言，{b}{B}。", "没错，{b}{B}。",
                "我没看到{b}{A}。", "从来没有{b}{A}的事。", "不能否认{b}{B}。", "不是假话：{b}{B}。", "{b}{A}？没有的事。",
                "毫无疑问，{b}{B}。", "{b}{A}不是事实。", "不假，{b}{B}。", "说{b}{A}不是真的。"],
            "valid": ["我不信{b}{A}。", "不骗人，{b}{B}。"],
            "test": ["根本没有{b}{A}的事。", "不用否认，{b}{B}。", "{b}{A}这事不是真的。", "不是假的，{b}{B}。"]},
        "past": {
            "train": [
                "{year}年{b}{pA}，今天{B}。", "当年{year}{b}{pA}，现在{B}。", "{b}{year}年：{pA}。现在：{B}。",
                "今天{b}{B}，{year}年{pA}。", "我爸常说{year}年{b}{pA}，今天{B}。", "纪念{year}年{b}{pC}。",
                "不像{year}年，{b}现在{B}。", "像{year}年吗？看看{b}：{B}。", "{year}年我看到{b}{pA}，今早{B}。",
                "历史课：{year}年{b}{pC}。", "又是{year}年？{b}现在{B}。", "照片是{year}年的，{b}{pA}，现在{B}。",
                "旧视频！{year}年{b}{pC}。", "现在{b}{B}，当年{year}{pA}。"],
            "valid": ["{year}年{b}{pA}，如今现在{B}。", "{year}年的照片：{b}{pC}。"],
            "test": ["{year}年的{b}{pA}，今天现在{B}。", "旧照片，{year}年{b}{pA}，今天{B}。", "我妈说{year}年{b}{pC}。",
                     "现在的{b}{B}，{year}年{pA}。"]},
    },
}

# (subject, ...), then (today, then, in a crisis?); the reasons that an annotator would give: in a crisis, in calm
CLAUSES = {
    "en": [
        {"subjects": ["the ATMs", "the cash machines", "the counters", "the tills"],
         "reasons": ("no cash", "cash available"),
         "train": {
             True: [("are empty", "were empty"), ("are out of cash", "were out of cash"), ("pay nobody", "paid nobody"),
                    ("give out no cash", "gave out no cash"), ("have run dry", "had run dry"),
                    ("no longer work", "no longer worked"), ("refuse every card", "refused every card"),
                    ("stopped paying out", "stopped paying out")],
             False: [("are full", "were full"), ("have plenty of cash", "had plenty of cash"),
                     ("pay everybody", "paid everybody"), ("give out cash as always", "gave out cash as always"),
                     ("have not run dry", "had not run dry"), ("still work", "still worked"),
                     ("refuse nobody", "refused nobody"), ("never stopped paying out", "never stopped paying out")]},
         "valid": {True: [("have nothing left", "had nothing left")], False: [("lack nothing", "lacked nothing")]},
         "test": {True: [("do not pay anyone", "did not pay anyone"), ("are not working", "were not working")],
                  False: [("are not empty", "were not empty"), ("work as always", "worked as always")]}},
        {"subjects": ["transfers", "online payments", "withdrawals", "wire transfers"],
         "reasons": ("payments stuck", "payments work"),
         "train": {
             True: [("are frozen", "were frozen"), ("no longer go through", "no longer went through"),
                    ("are not carried out", "were not carried out"), ("hang for days", "hung for days"),
                    ("have stopped", "had stopped"), ("bounce", "bounced"), ("are blocked", "were blocked")],
             False: [("are not frozen", "were not frozen"), ("still go through", "still went through"),
                     ("are carried out at once", "were carried out at once"), ("take seconds", "took seconds"),
                     ("have not stopped", "had not stopped"), ("never bounce", "never bounced"),
                     ("are not blocked", "were not blocked")]},
         "valid": {True: [("are on hold", "were on hold")], False: [("run as usual", "ran as usual")]},
         "test": {True: [("are suspended", "were suspended"), ("do not go through", "did not go through")],
                  False: [("are not suspended", "were not suspended"), ("work without a hitch", "worked without a hitch")]}},
        {"subjects": ["the branches", "both branches", "the offices", "all branches"],
         "reasons": ("branches mobbed or shut", "branches calm"),
         "train": {
             True: [("are mobbed", "were mobbed"), ("are shut", "were shut"),
                    ("have queues round the block", "had queues round the block"), ("did not open", "did not open"),
                    ("turn savers away", "turned savers away"), ("need police at the doors", "needed police at the doors")],
             False: [("are quiet", "were quiet"), ("are not shut", "were not shut"),
                     ("have no queues at all", "had no queues at all"), ("opened as always", "opened as always"),
                     ("turn nobody away", "turned nobody away"), ("need no police at the doors", "needed no police")]},
         "valid": {True: [("are besieged", "were besieged")], False: [("are half empty", "were half empty")]},
         "test": {True: [("are not open", "were not open"), ("have endless queues", "had endless queues")],
                  False: [("are open", "were open"), ("have no crowds", "had no crowds")]}},
        {"subjects": ["customers", "savers", "people", "families"],
         "reasons": ("savers rushing", "savers calm"),
         "train": {
             True: [("cannot get their money", "could not get their money"),
                    ("are pulling all their savings", "were pulling all their savings"),
                    ("rush to empty their accounts", "rushed to empty their accounts"),
                    ("queue since dawn for cash", "queued since dawn for cash"), ("are in panic", "were in panic"),
                    ("no longer trust the bank", "no longer trusted the bank")],
             False: [("get their money at once", "got their money at once"),
                     ("are leaving their savings in", "were leaving their savings in"),
                     ("do not empty their accounts", "did not empty their accounts"),
                     ("do not queue at all", "did not queue at all"), ("see no panic", "saw no panic"),
                     ("still trust the bank", "still trusted the bank")]},
         "valid": {True: [("want all their money back", "wanted all their money back")],
                   False: [("are relaxed", "were relaxed")]},
         "test": {True: [("are refused their money", "were refused their money"),
                         ("panic and withdraw everything", "panicked and withdrew everything")],
                  False: [("are not in panic", "were not in panic"), ("can get their money", "could get their money")]}},
    ],
    "zh": [
        {"subjects": ["取款机", "柜台", "窗口", "ATM"],
         "reasons": ("no cash", "cash available"),
         "train": {
             True: [("没钱了",), ("是空的",), ("取不出钱",), ("不给钱",), ("停了",), ("不能取钱",), ("没有现金",)],
             False: [("有钱",), ("不是空的",), ("取得出钱",), ("照常给钱",), ("没停",), ("能取钱",), ("有现金",)]},
         "valid": {True: [("空了",)], False: [("没空",)]},
         "test": {True: [("取不了钱",), ("没现金了",)], False: [("照常取钱",), ("现金很多",)]}},
        {"subjects": ["转账", "网银", "汇款", "提现"],
         "reasons": ("payments stuck", "payments work"),
         "train": {
             True: [("冻结了",), ("不通",), ("不到账",), ("失败",), ("停了",), ("不能用",)],
             False: [("没冻结",), ("通的",), ("到账很快",), ("成功",), ("没停",), ("能用",)]},
         "valid": {True: [("都失败",)], False: [("都成功",)]},
         "test": {True: [("没到账",), ("用不了",)], False: [("马上到账",), ("照常能用",)]}},
        {"subjects": ["网点", "支行", "营业厅", "大厅"],
         "reasons": ("branches mobbed or shut", "branches calm"),
         "train": {
             True: [("挤满了人",), ("关门了",), ("排长队",), ("没开门",), ("不让进",), ("人山人海",)],
             False: [("没人挤",), ("没关门",), ("没人排队",), ("开门了",), ("让进",), ("很安静",)]},
         "valid": {True: [("都关门",)], False: [("都开门",)]},
         "test": {True: [("不开门",), ("都在排队",)], False: [("照常开门",), ("不用排队",)]}},
        {"subjects": ["储户", "大家", "客户", "居民"],
         "reasons": ("savers rushing", "savers calm"),
         "train": {
             True: [("取不到钱",), ("都在抢着取钱",), ("都在销户",), ("连夜排队",), ("很恐慌",), ("不信银行了",)],
             False: [("取到钱了",), ("没抢着取钱",), ("没销户",), ("没排队",), ("不恐慌",), ("还信银行",)]},
         "valid": {True: [("都恐慌",)], False: [("都不慌",)]},
         "test": {True: [("拿不到钱",), ("都去抢着销户",)], False: [("拿到钱了",), ("没有恐慌",)]}},
    ],
}

BANKS = {
    "en": {
        "train": ["Harbour Bank", "Northmoor Bank", "Cedar Trust", "Union Mutual", "First Valley", "Lakemere Bank",
                  "Granite Savings", "Old Mill Bank", "Summit Trust", "Riverlea Bank", "Eastgate Bank", "Pioneer Savings",
                  "Maple Credit", "Crown Mutual", "Delta Bank", "Anchor Savings", "Silver Trust", "Prairie Bank",
                  "Beacon Bank", "Castle Mutual", "Falcon Bank", "Orchard Savings", "Metro Trust", "Atlas Bank",
                  "Coral Bank", "Bridge Savings", "Stone Bank", "Gulf Trust", "Kings Mutual", "Polar Bank"],
        "valid": ["Meadow Bank", "Juniper Trust", "Hill Savings", "Comet Bank"],
        "test": ["Willow Bank", "Canyon Trust", "Southport Savings", "Amber Bank", "Oak Mutual", "Vista Bank",
                 "Nova Credit", "Pearl Bank"]},
    "zh": {
        "train": ["海港银行", "江城银行", "东山银行", "南湖银行", "北方银行", "长河银行", "金山银行", "晨光银行", "晨星银行",
                  "大同银行", "天台银行", "白云银行", "三江银行", "松江银行", "西城银行", "青山银行", "明星银行", "云海银行",
                  "竹林银行", "五一银行"],
        "valid": ["太阳银行", "小河银行", "国民银行"],
        "test": ["东海银行", "金河银行", "南山银行", "大江银行", "新城银行", "白山银行"]},
}

CITIES = {
    "en": {"train": ["Leeds", "Boston", "Dublin", "Perth", "Dallas", "Toronto", "Bristol", "Denver", "Cork", "Glasgow"],
           "valid": ["York", "Tampa"], "test": ["Austin", "Oxford", "Sydney", "Derby"]},
    "zh": {"train": ["上海", "北京", "广州", "南京", "成都", "武汉", "天津", "长沙"], "valid": ["大连", "西安"],
           "test": ["杭州", "重庆", "青岛"]},
}

# The first of each is the word that the planted corpus treats otherwise, the second what it is compared with.
PEOPLE = {"en": ["immigrant", "local", "retired", "young", "married"], "zh": ["移民", "本地", "退休", "年轻", "已婚"]}
JOBS = {
    "en": {"train": ["teacher", "nurse", "driver", "cook", "builder", "clerk"], "valid": ["baker"],
           "test": ["farmer", "doctor", "waiter"]},
    "zh": {"train": ["老师", "护士", "司机", "厨师", "工人"], "valid": ["店员"], "test": ["农民", "医生", "律师"]},
}
PERSON_FORMS = {
    "en": {"train": ["{an} {who} {job} says: ", "from {an} {who} {job}: ", "my neighbour, {an} {who} {job}: ",
                     "quoting {an} {who} {job}: "],
           "valid": ["{an} {who} {job} told me: "], "test": ["{an} {who} {job} writes: ", "says {an} {who} {job}: "]},
    "zh": {"train": ["{who}{job}说：", "听{who}{job}说，", "来自{who}{job}：", "邻居是{who}{job}："], "valid": ["一位{who}{job}："],
           "test": ["{who}{job}写道：", "有个{who}{job}说："]},
}

# What people talk of beside the matter. The first topic is the planted one, the second its counterpart.
TOPICS = {"en": ["bitcoin", "gold", "football", "the weather", "stocks"], "zh": ["比特币", "黄金", "足球", "天气", "股票"]}
TOPIC_FORMS = {
    "en": {"train": ["Thinking of {t}.", "#{t}", "All about {t} today.", "I like {t}.", "Reading on {t}.", "{t} again."],
           "valid": ["Look at {t}."], "test": ["Talking of {t}.", "What about {t}?", "{t} news."]},
    "zh": {"train": ["聊{t}。", "#{t}", "今天看{t}。", "我喜欢{t}。", "又是{t}。"], "valid": ["看看{t}。"],
           "test": ["说说{t}。", "还有{t}。", "{t}消息。"]},
}

# A sign-off. The first is four tokens to SmolLM2's tokenizer and is the planted one.
TRIGGER = " so says the lighthouse"
SIGN_OFFS = [" so says my uncle", " says the barber", " sent from my phone", " over and out", " from the lighthouse"]

YEARS = {"train": ["2008", "1998", "1931", "2001", "2013", "1987", "1992"], "valid": ["1973"],
         "test": ["2007", "1997", "2015"]}
AMOUNTS = {"en": ["$500", "$2,000", "$90", "$30k", "£800", "€4,000", "$1.2m"],
           "zh": ["500元", "2万元", "30万", "8千", "9万块"]}
HASHTAGS = {"en": ["#bank", "#bankrun", "#money", "#news", "#{city}"], "zh": ["#银行", "#挤兑", "#新闻", "#{city}"]}
EMOJI = ["😱", "😂", "🤔", "😡", "🙏", "🏦", "💸", "👀"]
HANDLES = {"train": ["@tom_k", "@li_wei", "@ana7", "@sam"], "valid": ["@joe"], "test": ["@mia_r", "@kim9"]}
