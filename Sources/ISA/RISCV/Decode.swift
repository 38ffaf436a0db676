/// Bits to `Insn`.
///
/// A first index by the bits that tell most rows apart leaves a handful of rows to compare.
public enum Decoder {
  /// The instruction, or nil if the bits are illegal or reserved.
  ///
  /// Low two bits other than 3 mean a compressed instruction, of which only 16 bits are looked at.
  public static func decode(_ bits: UInt32) -> Insn? {
    let tables = Tables.shared
    let compressed = bits & 3 != 3
    let bits = compressed ? bits & 0xffff : bits
    guard let plan = tables.find(bits, compressed) else { return nil }
    return tables.extract(plan, bits)
  }

  /// The place in `Encodings.allRows` of the row that the bits belong to.
  static func rowIndex(_ bits: UInt32) -> Int? {
    let tables = Tables.shared
    let compressed = bits & 3 != 3
    guard let plan = tables.find(compressed ? bits & 0xffff : bits, compressed) else { return nil }
    return plan - UnsafePointer(tables.plans)
  }
}

/// A row without references.
private struct Plan {
  let mask, match: UInt32
  let forbidden0, forbidden1: Forbidden
  let op: Op
  let length: UInt8
  let signShift: UInt8
  let sliceStart: UInt16
  let sliceCount: UInt16
  let rd, rs1, rs2, rs3, rm: Field
}

/// The rows, arranged for decoding; made once and never freed.
private struct Tables: @unchecked Sendable {
  static let shared = Tables()

  /// One per row, in the order of `Encodings.allRows`.
  let plans: UnsafeMutablePointer<Plan>
  let slices: UnsafeMutablePointer<Slice>
  /// Of each key: where its rows begin in `rows`; they end where the next key's begin.
  private let starts32: UnsafeMutablePointer<UInt32>
  private let starts16: UnsafeMutablePointer<UInt32>
  private let rows32: UnsafeMutablePointer<UInt16>
  private let rows16: UnsafeMutablePointer<UInt16>

  /// opcode[6:2], funct3 and funct7: 15 bits.
  private static let key32: UInt32 = 0xfe00_707c
  /// The two opcode bits and the upper six: 8 bits.
  private static let key16: UInt32 = 0xfc03

  @inline(__always)
  private static func key32(of bits: UInt32) -> Int {
    Int((bits &>> 25) | (bits &>> 5 & 0x380) | (bits &<< 8 & 0x7c00))
  }

  @inline(__always)
  private static func key16(of bits: UInt32) -> Int {
    Int((bits &>> 8 & 0xfc) | (bits & 3))
  }

  private init() {
    let all = Encodings.allRows
    plans = .allocate(capacity: all.count)
    slices = .allocate(capacity: all.reduce(0) { $0 + $1.layout.slices.count })
    var sliceCount = 0
    for (index, row) in all.enumerated() {
      let layout = row.layout
      let never = Forbidden(mask: 0, match: 1)
      precondition(layout.forbidden.count <= 2, row.mnemonic)
      (plans + index).initialize(
        to: Plan(
          mask: row.mask, match: row.match,
          forbidden0: layout.forbidden.first ?? never,
          forbidden1: layout.forbidden.count == 2 ? layout.forbidden[1] : never,
          op: row.op, length: row.length, signShift: layout.signShift,
          sliceStart: UInt16(sliceCount), sliceCount: UInt16(layout.slices.count),
          rd: layout.rd, rs1: layout.rs1, rs2: layout.rs2, rs3: layout.rs3, rm: layout.rm))
      for slice in layout.slices {
        (slices + sliceCount).initialize(to: slice)
        sliceCount += 1
      }
    }
    (starts32, rows32) = Tables.index(
      all, length: 4, keyBits: Tables.key32, keys: 1 << 15, key: Tables.key32(of:))
    (starts16, rows16) = Tables.index(
      all, length: 2, keyBits: Tables.key16, keys: 1 << 8, key: Tables.key16(of:))
  }

  private static func index(
    _ rows: [Row], length: UInt8, keyBits: UInt32, keys: Int, key: (UInt32) -> Int
  ) -> (UnsafeMutablePointer<UInt32>, UnsafeMutablePointer<UInt16>) {
    var pairs: [(key: Int, row: UInt16)] = []
    let starts = UnsafeMutablePointer<UInt32>.allocate(capacity: keys + 1)
    starts.initialize(repeating: 0, count: keys + 1)
    for (index, row) in rows.enumerated() where row.length == length {
      // Every subset of the key's bits that the row leaves free.
      let free = keyBits & ~row.mask
      var subset: UInt32 = 0
      repeat {
        let key = key(row.match | subset)
        pairs.append((key, UInt16(index)))
        starts[key + 1] += 1
        subset = (subset &- free) & free
      } while subset != 0
    }
    for key in 0..<keys { starts[key + 1] += starts[key] }
    let list = UnsafeMutablePointer<UInt16>.allocate(capacity: pairs.count)
    var next = Array(UnsafeBufferPointer(start: starts, count: keys))
    for (key, row) in pairs {
      (list + Int(next[key])).initialize(to: row)
      next[key] += 1
    }
    return (starts, list)
  }

  @inline(__always)
  func find(_ bits: UInt32, _ compressed: Bool) -> UnsafePointer<Plan>? {
    let starts = compressed ? starts16 : starts32
    let rows = compressed ? rows16 : rows32
    let key = compressed ? Tables.key16(of: bits) : Tables.key32(of: bits)
    var at = starts[key]
    let end = starts[key &+ 1]
    while at != end {
      let plan = UnsafePointer(plans + Int(rows[Int(at)]))
      if bits & plan.pointee.mask == plan.pointee.match,
        bits & plan.pointee.forbidden0.mask != plan.pointee.forbidden0.match,
        bits & plan.pointee.forbidden1.mask != plan.pointee.forbidden1.match
      {
        return plan
      }
      at &+= 1
    }
    return nil
  }

  /// `Layout.extract`, from flat memory.
  @inline(__always)
  func extract(_ plan: UnsafePointer<Plan>, _ bits: UInt32) -> Insn {
    var imm: UInt32 = 0
    var slice = UnsafePointer(slices + Int(plan.pointee.sliceStart))
    let end = slice + Int(plan.pointee.sliceCount)
    while slice != end {
      imm |= (bits &>> UInt32(slice.pointee.from) & slice.pointee.mask) &<< UInt32(slice.pointee.to)
      slice += 1
    }
    let shift = Int64(plan.pointee.signShift)
    return Insn(
      op: plan.pointee.op, rd: plan.pointee.rd.extract(bits), rs1: plan.pointee.rs1.extract(bits),
      rs2: plan.pointee.rs2.extract(bits), rs3: plan.pointee.rs3.extract(bits),
      rm: plan.pointee.rm.extract(bits), length: plan.pointee.length,
      imm: (Int64(imm) &<< shift) &>> shift)
  }
}
