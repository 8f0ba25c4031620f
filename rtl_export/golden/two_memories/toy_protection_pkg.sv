// Protected bits of toy in by_hand, scheme tmr.
// Bit 0 is least significant; 1 = protected.
package toy_protection_pkg;

  localparam int unsigned MEMORIES = 2;
  localparam int unsigned PROTECTED_BITS = 4;

  // fc.weight
  localparam int unsigned fc_weight_DEPTH = 3;
  localparam int unsigned fc_weight_WIDTH = 6;
  localparam int unsigned fc_weight_PROTECTED_BITS = 3;
  localparam bit [5:0] fc_weight_COLUMN_MASK = 6'h21;
  localparam bit [5:0] fc_weight_WORD_MASK [0:2] = '{
    6'h20, 6'h00, 6'h21
  };

  // out,1.weight.0
  localparam int unsigned out_1_weight_0_DEPTH = 2;
  localparam int unsigned out_1_weight_0_WIDTH = 35;
  localparam int unsigned out_1_weight_0_PROTECTED_BITS = 1;
  localparam bit [34:0] out_1_weight_0_COLUMN_MASK = 35'h400000000;
  localparam bit [34:0] out_1_weight_0_WORD_MASK [0:1] = '{
    35'h000000000, 35'h400000000
  };

endpackage
