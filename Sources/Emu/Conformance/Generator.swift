import RISCV

/// Which checkpoints a program has besides the usual ones.
struct Checkpoints {
  /// After every unit whose number is in here.
  var fine: Range<Int> = 0..<0
  /// Each checkpoint writes the scratch buffer out as well.
  var memory = false

  static let usual = Checkpoints()
}

/// A random program: what it is made of and where its parts are.
struct RandomProgram {
  var code: [UInt8] = []
  var data: [UInt8] = []
  /// By number: where each unit (an instruction and what prepares it) starts and ends.
  var units: [Range<UInt64>] = []
  /// The unit before the checkpoint that returns to the address.
  var checkpoints: [UInt64: Int] = [:]
  /// Addresses of what is not a random instruction: prologue, checkpoints, exit.
  var plumbing: [Range<UInt64>] = []
  var memory = false
  /// The register that checkpoints are called through.
  var link = 0

  var file: [UInt8] {
    ELFImage.bytes(
      [
        Segment(address: Layout.code, bytes: code, executable: true),
        Segment(address: Layout.pool, bytes: data),
        Segment(address: Layout.dump, bytes: [], size: Layout.dumpBytes),
      ], entry: Layout.code)
  }

  func insn(at pc: UInt64) -> (bits: UInt32, insn: Insn?)? {
    let at = Int(pc &- Layout.code)
    guard at >= 0, at + 2 <= code.count else { return nil }
    var bits = UInt32(code[at]) | UInt32(code[at + 1]) << 8
    if bits & 3 == 3 {
      guard at + 4 <= code.count else { return nil }
      bits |= UInt32(code[at + 2]) << 16 | UInt32(code[at + 3]) << 24
    }
    return (bits, Decoder.decode(bits))
  }
}

/// Makes random programs from the encoding rows.
///
/// A program is a list of *units*: a random instruction with whatever must come before it, such as
/// an address in its base register. Two registers are kept out of it: `pointer` says where the next
/// checkpoint record goes and `link` is what checkpoints are called through.
struct Generator {
  private var rng: SplitMix
  private var program = RandomProgram()
  private let options: Checkpoints
  private let pointer: UInt8
  private let link: UInt8
  /// Registers that must keep their values here.
  private var kept: Set<UInt8>
  private var sinceCheckpoint = 0
  private var depth = 0
  private var checkpointRoutine = 0

  static func make(
    seed: UInt64, number: UInt64, units: Int, options: Checkpoints = .usual
  ) -> RandomProgram {
    var generator = Generator(seed: seed, number: number, options: options)
    generator.run(units: units)
    return generator.program
  }

  private init(seed: UInt64, number: UInt64, options: Checkpoints) {
    var mixer = SplitMix(seed: seed)
    rng = SplitMix(seed: mixer.next() ^ number &* 0xd134_2543_de82_ef95)
    self.options = options
    // Neither a compressed instruction's registers nor those of system calls.
    var candidates: [UInt8] = [1, 2, 3, 4, 5, 6, 7, 16] + Array(18...31)
    candidates.shuffle(using: &rng)
    (pointer, link) = (candidates[0], candidates[1])
    kept = [pointer, link]
    program.memory = options.memory
    program.link = Int(link)
  }

  // MARK: Emitting

  private var pc: UInt64 { Layout.code + UInt64(program.code.count) }

  private mutating func put(_ insn: Insn) {
    guard let bits = Encoder.encode(insn) else { preconditionFailure("no encoding: \(insn)") }
    put(bits, insn.length)
  }

  private mutating func put(_ bits: UInt32, _ length: UInt8) {
    for byte in 0..<Int(length) {
      program.code.append(UInt8(truncatingIfNeeded: bits >> UInt32(byte * 8)))
    }
  }

  /// Puts an instruction over what was left free at `at`.
  private mutating func patch(_ at: Int, _ insn: Insn) {
    guard let bits = Encoder.encode(insn) else { preconditionFailure("no encoding: \(insn)") }
    for byte in 0..<Int(insn.length) {
      program.code[at + byte] = UInt8(truncatingIfNeeded: bits >> UInt32(byte * 8))
    }
  }

  private mutating func reserve(_ length: UInt8) -> Int {
    let at = program.code.count
    program.code += [UInt8](repeating: 0, count: Int(length))
    return at
  }

  private mutating func load(_ register: UInt8, constant: Int64) {
    if (-2048..<2048).contains(constant) {
      put(Insn(op: .addi, rd: register, imm: constant))
      return
    }
    let low = (constant &<< 52) &>> 52
    put(Insn(op: .lui, rd: register, imm: Int64(Int32(truncatingIfNeeded: constant &- low))))
    if low != 0 { put(Insn(op: .addi, rd: register, rs1: register, imm: low)) }
  }

  private mutating func asPlumbing(_ body: (inout Generator) -> Void) {
    let start = pc
    body(&self)
    program.plumbing.append(start..<pc)
  }

  // MARK: The frame of a program

  private mutating func run(units: Int) {
    makeData()
    asPlumbing { $0.prologue() }
    checkpoint(after: -1)
    while program.units.count < units { topUnit() }
    checkpoint(after: program.units.count - 1)
    asPlumbing { $0.exit() }
  }

  private mutating func makeData() {
    func append(_ value: UInt64) {
      withUnsafeBytes(of: value.littleEndian) { program.data += $0 }
    }
    for index in 0..<Layout.poolWords {
      append(index % 2 == 0 ? Edges.integer(&rng) : Edges.register(&rng))
    }
    while program.data.count < Int(Layout.scratch - Layout.pool) { append(0) }
    for _ in 0..<Layout.scratchBytes / 8 {
      append(rng.once(in: 2) ? Edges.integer(&rng) : Edges.register(&rng))
    }
  }

  private mutating func prologue() {
    // Jump over the checkpoint routine.
    let over = reserve(4)
    checkpointRoutine = program.code.count
    routine()
    patch(over, Insn(op: .jal, imm: Int64(program.code.count - over)))
    load(pointer, constant: Int64(Layout.pool))
    put(Insn(op: .ld, rd: link, rs1: pointer, imm: 8))
    put(Insn(op: .csrrw, rs1: link, imm: 3))
    // Leave a rounding mode that is one.
    put(Insn(op: .csrrwi, rs1: UInt8(rng.below(5)), imm: 2))
    for number in UInt8(0)..<32 {
      put(Insn(op: .fld, rd: number, rs1: pointer, imm: Int64(rng.below(128)) * 16 + 8))
    }
    for number in UInt8(1)..<32 where number != pointer && number != link {
      put(Insn(op: .ld, rd: number, rs1: pointer, imm: Int64(rng.below(250)) * 8))
    }
    load(pointer, constant: Int64(Layout.dump))
  }

  /// Stores a record at `pointer`, moves it on and returns through `link`.
  private mutating func routine() {
    for number in UInt8(1)..<32 {
      put(Insn(op: .sd, rs1: pointer, rs2: number, imm: Int64(number) * 8))
    }
    for number in UInt8(0)..<32 {
      put(Insn(op: .fsd, rs1: pointer, rs2: number, imm: 256 + Int64(number) * 8))
    }
    let work: UInt8 = 10
    put(Insn(op: .csrrs, rd: work, imm: 3))
    put(Insn(op: .sd, rs1: pointer, rs2: work))
    if options.memory {
      writeScratch()
      for number in [UInt8(11), 12, 17] {
        put(Insn(op: .ld, rd: number, rs1: pointer, imm: Int64(number) * 8))
      }
    }
    put(Insn(op: .ld, rd: work, rs1: pointer, imm: Int64(work) * 8))
    put(Insn(op: .addi, rd: pointer, rs1: pointer, imm: Int64(Layout.recordBytes)))
    put(Insn(op: .jalr, rs1: link))
  }

  private mutating func writeScratch() {
    put(Insn(op: .addi, rd: 17, imm: 64))
    put(Insn(op: .addi, rd: 10, imm: 1))
    load(11, constant: Int64(Layout.scratch))
    load(12, constant: Int64(Layout.scratchBytes))
    put(Insn(op: .ecall))
  }

  private mutating func exit() {
    put(Insn(op: .addi, rd: 17, imm: 64))
    put(Insn(op: .addi, rd: 10, imm: 1))
    load(11, constant: Int64(Layout.dump))
    put(Insn(op: .sub, rd: 12, rs1: pointer, rs2: 11))
    put(Insn(op: .ecall))
    writeScratch()
    put(Insn(op: .addi, rd: 17, imm: 94))
    put(Insn(op: .addi, rd: 10, imm: 0))
    put(Insn(op: .ecall))
  }

  private mutating func checkpoint(after unit: Int) {
    let start = pc
    put(
      Insn(op: .jal, rd: link, imm: Int64(checkpointRoutine - program.code.count)))
    program.checkpoints[pc] = unit
    program.plumbing.append(start..<pc)
    sinceCheckpoint = 0
  }

  // MARK: Units

  private mutating func unit(_ body: (inout Generator) -> Void) {
    let start = pc
    body(&self)
    program.units.append(start..<pc)
    let number = program.units.count - 1
    sinceCheckpoint += 1
    if options.fine.contains(number) { checkpoint(after: number) }
  }

  private mutating func topUnit() {
    depth = 0
    anyUnit()
    if sinceCheckpoint >= 48,
      options.fine.isEmpty || !options.fine.contains(program.units.count - 1)
    {
      checkpoint(after: program.units.count - 1)
    }
  }

  private mutating func body() {
    depth += 1
    for _ in 0..<1 + rng.below(4) { anyUnit() }
    depth -= 1
  }

  private mutating func anyUnit() {
    switch rng.below(100) {
    case 0..<38: unit { $0.compute() }
    case 38..<43: unit { $0.chain() }
    case 43..<47: unit { $0.burst() }
    case 47..<62: unit { $0.memory() }
    case 62..<72: unit { $0.reload() }
    case 72..<77: unit { $0.atomic() }
    case 77..<79: unit { $0.reservation() }
    case 79..<84: unit { $0.floatStatus() }
    case 84..<86: unit { $0.constant() }
    case 86..<87: unit { $0.selfModifying() }
    case 87..<93 where depth < 2: forward()
    case 93..<96 where depth < 2: jumpOver()
    case 96..<98 where depth < 2: loop()
    case 98..<100 where depth < 2: backAndForth()
    default: unit { $0.compute() }
    }
  }

  /// A row's random instruction that leaves alone what must be kept.
  private mutating func sample(_ row: Row) -> Insn? {
    for _ in 0..<40 {
      let insn = row.sample(using: &rng)
      if row.rdKind == .x, kept.contains(insn.rd) { continue }
      if row.hasRounding, insn.rm == 5 || insn.rm == 6 { continue }
      return insn
    }
    return nil
  }

  /// A register that may be written, as an operand of `row` where its fields are short.
  private mutating func base(_ insn: Insn, _ row: Row) -> Insn? {
    var insn = insn
    for _ in 0..<40 {
      if insn.rs1 != 0, !kept.contains(insn.rs1) { return insn }
      insn.rs1 = row.sample(using: &rng).rs1
    }
    return nil
  }

  private mutating func compute() {
    for _ in 0..<40 {
      let row = Rows.compute[rng.below(Rows.compute.count)]
      guard let insn = sample(row) else { continue }
      if row.op == .ctzw {
        // QEMU before 8.0 counts on into the upper word where the lower one is zero.
        guard insn.rs1 != 0, !kept.contains(insn.rs1) else { continue }
        put(Insn(op: .bseti, rd: insn.rs1, rs1: insn.rs1, imm: Int64(rng.below(32))))
      }
      put(insn)
      return
    }
    put(Insn(op: .addi))
  }

  /// Frequent instructions on few registers, as compilers make them.
  private mutating func chain() {
    var registers: [UInt8] = []
    while registers.count < 3 {
      let register = UInt8(1 + rng.below(31))
      if !kept.contains(register) { registers.append(register) }
    }
    for _ in 0..<2 + rng.below(4) {
      let row = Rows.row(rng.pick(Rows.frequent))
      var insn = row.sample(using: &rng)
      insn.rd = rng.pick(registers)
      if row.rs1Kind == .x { insn.rs1 = rng.pick(registers) }
      if row.rs2Kind == .x { insn.rs2 = rng.pick(registers) }
      put(insn)
    }
  }

  /// Several accesses by one base register.
  private mutating func burst() {
    guard let drawn = sample(Rows.row(.addi)), drawn.rd != 0 else { return }
    let base = drawn.rd
    let address = Int64(Layout.scratch) + 4096 * Int64(1 + rng.below(2)) + Int64(rng.below(4096))
    if rng.once(in: 3), let index = sample(Rows.row(.addi)), index.rd != base, index.rd != 0 {
      let part = Int64(rng.below(2048))
      load(base, constant: address - part)
      load(index.rd, constant: part)
      put(Insn(op: .add, rd: base, rs1: base, rs2: index.rd))
    } else {
      load(base, constant: address)
    }
    kept.insert(base)
    for _ in 0..<2 + rng.below(4) {
      let row = Rows.row(rng.pick(Rows.frequentMemory))
      guard var insn = sample(row) else { continue }
      if row.traits.isDisjoint(with: [.load, .store]) {
        if rng.once(in: 2) { insn.rs1 = base }
      } else {
        insn.rs1 = base
        insn.imm = Int64(rng.below(2048)) - (rng.once(in: 2) ? 2048 : 0)
        if rng.once(in: 2) { insn.imm &= ~7 }
      }
      put(insn)
    }
    kept.remove(base)
  }

  private mutating func scratchAddress(_ size: Int, aligned: Bool) -> UInt64 {
    let room = Layout.scratchBytes - 16
    var offset = rng.below(room)
    // A quarter near the boundary of a page.
    if rng.once(in: 4) { offset = (1 + rng.below(3)) * 4096 - rng.below(9) }
    if aligned { offset &= ~(size - 1) }
    return Layout.scratch + UInt64(offset)
  }

  private mutating func memory() {
    for _ in 0..<40 {
      let row = Rows.memory[rng.below(Rows.memory.count)]
      guard let drawn = sample(row), var insn = base(drawn, row) else { continue }
      // The value stored is often the base itself; let it be something else more often.
      if row.traits.contains(.store), insn.rs2 == insn.rs1, row.rs2Kind == .x, !rng.once(in: 4) {
        insn.rs2 = row.sample(using: &rng).rs2
      }
      if row.traits.contains(.load), rng.once(in: 8), row.rdKind == .x { insn.rd = insn.rs1 }
      guard Encoder.encode(insn) != nil else { continue }
      let address = scratchAddress(8, aligned: rng.once(in: 2))
      load(insn.rs1, constant: Int64(address) - insn.imm)
      put(insn)
      return
    }
    put(Insn(op: .addi))
  }

  private mutating func reload() {
    let row = rng.once(in: 2) ? Rows.row(.fld) : Rows.row(.ld)
    guard let drawn = sample(row), var insn = base(drawn, row) else { return }
    insn.imm = 0
    load(insn.rs1, constant: Int64(Layout.pool) + Int64(rng.below(Layout.poolWords)) * 8)
    put(insn)
  }

  private mutating func atomic() {
    for _ in 0..<40 {
      let row = Rows.atomic[rng.below(Rows.atomic.count)]
      guard let drawn = sample(row), let insn = base(drawn, row) else { continue }
      load(insn.rs1, constant: Int64(scratchAddress(8, aligned: true)))
      put(insn)
      return
    }
  }

  /// `lr`, sometimes something in between, `sc` of the same width: to the same address or, to fail,
  /// to another one; or an `sc` on its own.
  private mutating func reservation() {
    let wide = rng.once(in: 2)
    let (load, store) = wide ? (Op.lr_d, Op.sc_d) : (Op.lr_w, Op.sc_w)
    guard let drawn = sample(Rows.row(load)), let first = base(drawn, Rows.row(load)) else {
      return
    }
    self.load(first.rs1, constant: Int64(scratchAddress(8, aligned: true)))
    kept.insert(first.rs1)
    defer { kept.remove(first.rs1) }
    if !rng.once(in: 5) {
      var first = first
      if first.rd == first.rs1 { first.rd = 0 }
      put(first)
      for _ in 0..<rng.below(3) { compute() }
    }
    if rng.once(in: 4) {
      put(Insn(op: .addi, rd: first.rs1, rs1: first.rs1, imm: wide ? 8 : 4))
    }
    kept.remove(first.rs1)
    if var second = sample(Rows.row(store)) {
      second.rs1 = first.rs1
      put(second)
    }
  }

  /// Reads and writes of fflags, frm and fcsr; frm holds a rounding mode afterwards.
  private mutating func floatStatus() {
    let row = Rows.registers[rng.below(Rows.registers.count)]
    guard var insn = sample(row) else { return }
    insn.imm = Int64(1 + rng.below(3))
    put(insn)
    if insn.imm != 1 {
      if rng.once(in: 3), let read = sample(Rows.row(.csrrs)) {
        put(Insn(op: .csrrs, rd: read.rd, imm: 3))
      }
      put(Insn(op: .csrrwi, rs1: UInt8(rng.below(5)), imm: 2))
    }
  }

  private mutating func constant() {
    guard let insn = sample(Rows.row(.addi)) else { return }
    load(insn.rd, constant: Int64(Int32(truncatingIfNeeded: Edges.integer(&rng))))
  }

  /// Writes an instruction ahead of itself and runs into it.
  private mutating func selfModifying() {
    guard let one = sample(Rows.row(.xor)), let two = sample(Rows.row(.xor)) else { return }
    let (address, value) = (one.rd, two.rd)
    guard address != 0, value != 0, address != value else { return }
    for _ in 0..<40 {
      let row = Rows.wideCompute[rng.below(Rows.wideCompute.count)]
      guard let insn = sample(row), let bits = Encoder.encode(insn) else { continue }
      let start = program.code.count
      put(Insn(op: .auipc, rd: address))
      load(value, constant: Int64(Int32(bitPattern: bits)))
      let store = reserve(4)
      put(Insn(op: .fence_i))
      let slot = program.code.count
      put(Insn(op: .addi))
      patch(store, Insn(op: .sw, rs1: address, rs2: value, imm: Int64(slot - start)))
      return
    }
  }

  // MARK: Control flow

  /// A branch over a body, taken or not.
  private mutating func forward() {
    let row = Rows.branches[rng.below(Rows.branches.count)]
    let branch = row.sample(using: &rng)
    var at = 0
    let before = rng.once(in: 2) ? sample(Rows.row(rng.pick([.addi, .addi, .addiw]))) : nil
    unit {
      if var before {
        if branch.rs1 != 0, !$0.kept.contains(branch.rs1) { before.rd = branch.rs1 }
        $0.put(before)
      }
      at = $0.reserve(branch.length)
    }
    // A compressed branch does not reach over nested bodies.
    let outside = depth
    if branch.length == 2 { depth = 1 }
    body()
    depth = outside
    var insn = branch
    insn.imm = Int64(program.code.count - at)
    patch(at, insn)
  }

  /// An unconditional jump over a body: direct, or through a register.
  private mutating func jumpOver() {
    let row = Rows.jumps[rng.below(Rows.jumps.count)]
    guard var insn = sample(row) else { return }
    var at = 0
    if row.op == .jal {
      unit { at = $0.reserve(insn.length) }
      body()
      insn.imm = Int64(program.code.count - at)
      patch(at, insn)
      return
    }
    guard let based = base(insn, row) else { return }
    insn = based
    // A far call goes through its own link register.
    if row.length == 4, rng.once(in: 3) { insn.rd = insn.rs1 }
    var adjust = 0
    let adjusts = row.length == 4 && rng.once(in: 3)
    let start = program.code.count
    unit {
      $0.put(Insn(op: .auipc, rd: insn.rs1))
      if row.length == 2 || adjusts { adjust = $0.reserve(4) }
      at = $0.reserve(insn.length)
    }
    body()
    // Bit 0 of the target is cleared.
    let distance = Int64(program.code.count - start) + Int64(rng.below(2))
    if row.length == 2 || adjusts {
      patch(adjust, Insn(op: .addi, rd: insn.rs1, rs1: insn.rs1, imm: distance))
      if row.length == 4 { insn.imm = 0 }
    } else {
      insn.imm = distance
    }
    patch(at, insn)
  }

  /// A body that is run a few times.
  private mutating func loop() {
    guard let drawn = sample(Rows.row(.addi)), drawn.rd != 0 else { return }
    let counter = drawn.rd
    let turns = Int64(1 + rng.below(4))
    unit { $0.put(Insn(op: .addi, rd: counter, imm: turns)) }
    kept.insert(counter)
    let top = program.code.count
    body()
    kept.remove(counter)
    let kind = rng.below(5)
    unit {
      $0.put(Insn(op: .addi, rd: counter, rs1: counter, imm: -1))
      let back = Int64(top - $0.program.code.count)
      switch kind {
      case 0: $0.put(Insn(op: .blt, rs1: 0, rs2: counter, imm: back))
      case 1: $0.put(Insn(op: .bltu, rs1: 0, rs2: counter, imm: back))
      case 2 where (8..<16).contains(counter) && back >= -256:
        $0.put(Insn(op: .bne, rs1: counter, length: 2, imm: back))
      default: $0.put(Insn(op: .bne, rs1: counter, imm: back))
      }
    }
  }

  /// Forward, back to a body, and forward again.
  private mutating func backAndForth() {
    guard let first = sample(Rows.row(.jal)), let second = sample(Rows.row(.jal)) else { return }
    var there = 0
    unit { there = $0.reserve(4) }
    let bodyAt = program.code.count
    body()
    var over = 0
    unit { over = $0.reserve(4) }
    var insn = first
    insn.imm = Int64(program.code.count - there)
    patch(there, insn)
    unit {
      var insn = second
      insn.imm = Int64(bodyAt - $0.program.code.count)
      $0.put(insn)
    }
    patch(over, Insn(op: .jal, imm: Int64(program.code.count - over)))
  }
}

extension Row {
  /// Whether bits 14:12 choose a rounding mode.
  var hasRounding: Bool { pattern.split(separator: " ").contains("rm") }
}

/// The rows by what a unit does with them.
enum Rows {
  private static let all = Encodings.allRows.filter { $0.ext != .privileged && $0.ext != .zicond }

  static let memory = all.filter {
    !$0.traits.isDisjoint(with: [.load, .store]) && !$0.traits.contains(.atomic)
  }
  static let atomic = all.filter { $0.traits.contains(.atomic) && !$0.traits.contains(.exclusive) }
  static let branches = all.filter { $0.traits.contains(.branch) }
  static let jumps = all.filter { $0.traits.contains(.jump) }
  static let registers = all.filter { $0.traits.contains(.csr) }
  static let compute = all.filter {
    $0.traits.isDisjoint(with: [.load, .store, .atomic, .branch, .jump, .csr, .system])
  }
  static let wideCompute = compute.filter {
    $0.length == 4 && !$0.traits.contains(.fence) && $0.op != .ctzw
  }

  /// What interpreters join in pairs.
  static let frequent: [Op] = [
    .addi, .addi, .addiw, .slli, .srli, .add, .add, .mul, .xor, .lui, .and, .sltu, .auipc,
  ]
  static let frequentMemory: [Op] = [
    .ld, .ld, .sd, .sd, .lw, .lw, .lbu, .sb, .sw, .addi, .addiw, .add, .fld, .fsd,
  ]

  private static let wide: [Op: Row] = Dictionary(
    Encodings.allRows.filter { $0.length == 4 }.map { ($0.op, $0) },
    uniquingKeysWith: { one, _ in one })

  static func row(_ op: Op) -> Row {
    guard let row = wide[op] else { preconditionFailure("every operation has a row") }
    return row
  }
}
