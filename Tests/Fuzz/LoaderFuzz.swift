import Engine
import Foundation
import GuestKernel
import Image
import Machine
import RISCV

extension Fuzzer {
  /// A file is read by everything that reads files; what can be started runs for a while.
  func loader(_ random: inout FuzzRandom) throws(FuzzFailure) -> UInt64 {
    let file = mutated(&random)
    if let elf = try? ELFFile(file) {
      for section in elf.sections { _ = elf.contents(of: section) }
      for segment in elf.header.loadable { _ = elf.contents(of: segment) }
      _ = elf.interpreter
      for _ in 0..<4 { _ = elf.symbols.symbol(at: random.edge()) }
      _ = elf.symbols.symbol(at: elf.entry)
      _ = elf.symbols.symbol("main")
    }
    if random.once(in: 4) { listing(file, &random) }
    try bareFile(file, &random)
    try programFile(file, &random)
    return 1
  }

  private func mutated(_ random: inout FuzzRandom) -> [UInt8] {
    if images.isEmpty || random.once(in: 16) {
      let magic: [UInt8] = [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0]
      return (random.once(in: 2) ? magic : []) + random.bytes(random.below(4096))
    }
    var file = random.pick(images)
    func put(_ at: Int, _ value: UInt64, _ count: Int) {
      for index in 0..<count where at + index < file.count {
        file[at + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index))
      }
    }
    func get(_ at: Int, _ count: Int) -> Int {
      (0..<count).reduce(0) { at + $1 < file.count ? $0 | Int(file[at + $1]) << (8 * $1) : $0 }
    }
    let sections = get(40, 6)
    let sectionCount = get(60, 2)
    for _ in 0...random.below(6) {
      let size = random.pick([1, 2, 4, 8])
      let value = random.pick([random.edge(), random.edge(), UInt64(file.count), random.next()])
      switch random.below(8) {
      case 0: put(random.below(64), value, size)
      case 1, 2:
        // A field of a program header.
        put(64 + random.below(max(get(56, 2), 1)) * 56 + random.below(7) * 8, value, size)
      case 3, 4:
        // A field of a section header.
        put(sections + random.below(max(sectionCount, 1)) * 64 + random.below(16) * 4, value, size)
      case 5:
        // Within a section: symbols, strings, notes.
        let header = sections + random.below(max(sectionCount, 1)) * 64
        let length = max(get(header + 32, 4), 1)
        put(get(header + 24, 4) + random.below(length), value, size)
      case 6: put(random.below(file.count), value, size)
      default:
        if random.once(in: 4) { file.removeLast(random.below(file.count - 4)) }
      }
    }
    return file
  }

  private func listing(_ file: [UInt8], _ random: inout FuzzRandom) {
    let path = NSTemporaryDirectory() + "emu-fuzz-\(getpid()).elf"
    defer { unlink(path) }
    guard FileManager.default.createFile(atPath: path, contents: Data(file)) else { return }
    let place = random.pick([
      Listing.Place.all, .symbol("main"), .symbol("_start"), .address(random.edge()),
    ])
    _ = Listing.disassemble(path, place, limit: 2000)
  }

  private func bareFile(_ file: [UInt8], _ random: inout FuzzRandom) throws(FuzzFailure) {
    let address: UInt64? = random.once(in: 4) ? BoardMap.ramBase &+ random.edge() : nil
    guard let image = try? BareImage(file, loadAddress: address) else { return }
    var configuration = BareConfiguration()
    configuration.architecture = image.architecture
    let isPC = image.architecture == .x86_64
    configuration.memory = random.pick(isPC ? [2 << 20, 16 << 20] : [4096, 1 << 20, 16 << 20])
    guard
      let machine = BareMachine(configuration, console: FuzzConsole(), startOfRun: 0)
    else { throw FuzzFailure(description: "no board") }
    _ = image.base
    _ = image.describe(random.edge())
    guard image.load(into: machine.ram) == nil else { return }
    if isPC {
      machine.enter(image, .auto)
    } else if random.once(in: 2) {
      machine.enterMachineMode(image.entry)
    } else {
      machine.enterSupervisorMode(image.entry)
    }
    if let tohost = image.physical(of: "tohost") {
      machine.watchHTIF(tohost: tohost, fromhost: nil)
    }
    _ = machine.run(limit: 2000)
  }

  private func programFile(_ file: [UInt8], _ random: inout FuzzRandom) throws(FuzzFailure) {
    guard let machine = try? FuzzProgram(file, random.next()) else { return }
    _ = machine.machine.run(limit: 20_000)
    _ = machine.machine.kernel.collectStatistics()
  }
}
